// Writes the demo's input to `build/` (or the directory given): `tidegate demo --input build` sends it.
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { contracts, team } from "./contracts.mjs";
import { deliveries, schemaFile } from "./corpus.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const directory = process.argv[2] ?? join(here, "build");

const contractsDirectory = join(directory, "contracts");
rmSync(contractsDirectory, { recursive: true, force: true }); // a type that left the corpus leaves no contract behind
mkdirSync(join(contractsDirectory, "schemas"), { recursive: true });
copyFileSync(schemaFile, join(contractsDirectory, "schemas", "github.json"));
writeFileSync(join(contractsDirectory, "team.yaml"), team);
const written = contracts();
for (const { name, text } of written) writeFileSync(join(contractsDirectory, `${name}.yaml`), text);

const lines = deliveries().map((delivery) => JSON.stringify(delivery));
writeFileSync(join(directory, "events.ndjson"), lines.map((line) => `${line}\n`).join(""));
writeFileSync(join(directory, "demo.json"), readFileSync(join(here, "demo.json")));
console.log(`${lines.length} payloads and ${written.length} contracts in ${directory}`);
