// Contracts from the schemas: one a type, with the key that its schema promises.
import { rootOf, schema, types, withoutContract } from "./corpus.mjs";

const OWNER = "github-integration";

/** What an event may be about, the most telling first. GitHub orders by it, so it is the key. */
const SUBJECTS = [
  "repository.full_name",
  "organization.login",
  "installation.account.login",
  "marketplace_purchase.account.login",
  "security_advisory.ghsa_id",
  "sponsorship.sponsorable.login",
  "sender.login",
];

/** Does every document that keeps `node` have a value at `path`? */
function promises(node, path) {
  if (path.length === 0) return true;
  if (node.$ref) return promises(schema.definitions[node.$ref.replace("#/definitions/", "")], path);
  const [field, ...rest] = path;
  if (node.required?.includes(field) && promises(node.properties?.[field] ?? {}, rest)) return true;
  const every = node.oneOf ?? node.anyOf;
  return (every?.every((variant) => promises(variant, path)) || node.allOf?.some((part) => promises(part, path))) ?? false;
}

/** The key of an event type, as a path into its payload. */
export function keyOf(event) {
  const root = { $ref: `#/definitions/${rootOf(event)}` };
  const subject = SUBJECTS.find((path) => promises(root, path.split(".")));
  if (!subject) throw new Error(`the schema of \`${event}\` promises none of the known subjects`);
  return subject;
}

/** How many names a path to a person's field has; deeper ones are repeated nearer to the root. */
const MAX_NAMES = 4;

/** Where an event's data holds e-mail addresses, which are persons': paths that no list stands in. */
function emails(node, path = [], found = new Set(), above = []) {
  if (!node || above.includes(node)) return found;
  const around = [...above, node];
  if (node.$ref) emails(schema.definitions[node.$ref.replace("#/definitions/", "")], path, found, around);
  for (const part of [...(node.allOf ?? []), ...(node.anyOf ?? []), ...(node.oneOf ?? [])]) emails(part, path, found, around);
  if (path.length === MAX_NAMES) return found;
  for (const [name, inner] of Object.entries(node.properties ?? {})) {
    if (inner && /(^|_)email$/.test(name)) found.add([...path, name].join("."));
    else emails(inner, [...path, name], found);
  }
  return found;
}

/** Names and shapes that are GitHub's, and that `contract lint` is told to take as they are. */
const ALLOWED = {
  create: ["named-as-class", "GitHub calls it so; the event tells that a branch or tag was created"],
  delete: ["named-as-class", "GitHub calls it so; the event tells that a branch or tag was deleted"],
  team_add: ["named-as-class", "GitHub calls it so; the event tells that a team was added"],
  status: ["table-not-topic", "GitHub sends the status as it stores it"],
};

const allowed = (event) =>
  ALLOWED[event] ? `\n  allow: [{rule: ${ALLOWED[event][0]}, why: ${JSON.stringify(ALLOWED[event][1])}}]` : "";

function privacy(event) {
  const paths = [...emails({ $ref: `#/definitions/${rootOf(event)}` })].sort();
  const lines = paths.map((path) => `      $.${path}: {category: contact}\n`);
  return lines.length === 0 ? "" : `  privacy:\n    fields:\n${lines.join("")}`;
}

/** Every contract as `{ name, text }`, in the package's own order. */
export function contracts() {
  return types
    .map(({ name }) => name)
    .filter((name) => !withoutContract.has(name))
    .map((event) => ({ name: `github-${event.replaceAll("_", "-")}`, text: contract(event) }));
}

const contract = (event) => `apiVersion: contract/v1
kind: EventContract
metadata:
  name: github-${event.replaceAll("_", "-")}
  owner: ${OWNER}${allowed(event)}
spec:
  summary: GitHub sent its webhook event \`${event}\`.
  class: fact
  event:
    type: com.github.${event}
    source: https://github.com
  schema:
    format: json
    file: schemas/github.json#/definitions/${rootOf(event)}
  key:
    from: $.${keyOf(event)}
  topic:
    name: github.${event}
  ingress:
    onInvalid: quarantine
${privacy(event)}`;

export const team = `apiVersion: contract/v1
kind: Team
metadata:
  name: ${OWNER}
spec:
  pager: "webhook:https://alerts.example.com/${OWNER}"
`;
