// The corpus: GitHub's webhook payloads and their schemas, as the two npm packages hold them.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const installed = (path) => new URL(`node_modules/@octokit/${path}`, import.meta.url);

export const schemaFile = installed("webhooks-schemas/schema.json");
export const schema = JSON.parse(readFileSync(schemaFile, "utf8"));

/** One entry a type, in the package's own order: `{ name, examples }`. */
export const types = JSON.parse(readFileSync(installed("webhooks-examples/api.github.com/index.json"), "utf8"));

/** A connection check of GitHub's, not a fact that happened: it has no contract on purpose. */
export const withoutContract = new Set(["ping"]);

/** The name of the definition that describes an event: `NAME_event` (several variants) or `NAME$event` (one). */
export function rootOf(event) {
  const names = [`${event}_event`, `${event}$event`].filter((name) => name in schema.definitions);
  if (names.length !== 1) throw new Error(`\`${event}\` has ${names.length} root definitions, not one`);
  return names[0];
}

/** Every payload with the delivery id that it is sent under, in the package's own order. */
export function deliveries() {
  return types.flatMap(({ name, examples }) =>
    examples.map((body, index) => ({ event: name, delivery: deliveryId(name, index), body })),
  );
}

/** The same id in every run; a UUID of version 8 (RFC 9562 §5.8), whose bits are ours to choose. */
function deliveryId(event, index) {
  const bytes = createHash("sha256").update(`github-webhooks/${event}/${index}`).digest().subarray(0, 16);
  bytes[6] = (bytes[6] & 0x0f) | 0x80;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
