// Says, with a validator that is not tidegate's, what the demo's account has to be.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, test } from "node:test";
import Ajv from "ajv";
import { keyOf } from "./contracts.mjs";
import { deliveries, rootOf, schema, types, withoutContract } from "./corpus.mjs";

const expected = JSON.parse(readFileSync(new URL("demo.json", import.meta.url), "utf8"));
const ajv = new Ajv({ strict: false, validateFormats: false, validateSchema: false, logger: false });
ajv.addSchema({ ...schema, oneOf: undefined }, "github");

const directory = mkdtempSync(join(tmpdir(), "github-webhooks-"));
after(() => rmSync(directory, { recursive: true }));

const at = (body, path) => path.split(".").reduce((value, field) => value?.[field], body);

test("the corpus is the pinned one", () => {
  assert.equal(types.length, 58);
  assert.equal(deliveries().length, 329);
  assert.equal(new Set(deliveries().map(({ delivery }) => delivery)).size, 329);
  assert.deepEqual([expected.events, expected.types, expected.contracts], [329, 58, 57]);
});

test("ajv finds 274 payloads valid and 51 not, and 4 have no contract", () => {
  const first = { accepted: 0, repeated: 0, quarantined: 0, refused: 0 };
  for (const { event, body } of deliveries()) {
    if (withoutContract.has(event)) first.refused++;
    else if (ajv.validate(`github#/definitions/${rootOf(event)}`, body)) first.accepted++;
    else first.quarantined++;
  }
  assert.deepEqual(first, { accepted: 274, repeated: 0, quarantined: 51, refused: 4 });
  assert.deepEqual(first, expected.first);
  assert.deepEqual(expected.second, { ...first, accepted: 0, repeated: first.accepted });
});

test("every payload that keeps its schema has its key", () => {
  for (const { event, delivery, body } of deliveries()) {
    if (withoutContract.has(event) || !ajv.validate(`github#/definitions/${rootOf(event)}`, body)) continue;
    const key = at(body, keyOf(event));
    assert.ok(typeof key === "string" && key.length > 0, `${event} ${delivery}: no ${keyOf(event)}`);
  }
});

test("prepare writes the same files each time", () => {
  const snapshot = () => {
    execFileSync(process.execPath, [fileURLToPath(new URL("prepare.mjs", import.meta.url)), directory]);
    const names = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    return names.map((entry) => join(entry.parentPath ?? entry.path, entry.name)).sort().map((path) => [path, readFileSync(path, "utf8")]);
  };
  const written = snapshot();
  assert.deepEqual(snapshot(), written);
  assert.equal(written.filter(([path]) => path.endsWith(".yaml")).length, 58, "57 contracts and their team");
  const [, lines] = written.find(([path]) => path.endsWith("events.ndjson"));
  assert.equal(lines.trimEnd().split("\n").length, 329);
});
