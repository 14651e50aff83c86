// KafkaJS with @kafkajs/confluent-schema-registry: Avro and JSON Schema through registry and log.
// One line a scenario: `ok - NAME`, or `not ok - NAME: REASON`.
import assert from "node:assert/strict";
import registries from "@kafkajs/confluent-schema-registry";
import { end, host, read, run, scenario, send } from "./shared.mjs";

const { COMPATIBILITY, SchemaRegistry, SchemaType } = registries;
const registry = new SchemaRegistry({ host, retry: { retries: 0 } });

const USER = {
  type: "record",
  name: "User",
  namespace: "shop",
  fields: [{ name: "id", type: "long" }, { name: "name", type: ["null", "string"], default: null }],
};

/** Sends encoded values and resolves with what a consumer decodes. */
async function throughTheLog(topic, id, values) {
  await send(topic, await Promise.all(values.map(async (value) => ({ value: await registry.encode(id, value) }))));
  // Another client, which has to ask for the schema.
  const reader = new SchemaRegistry({ host });
  return read(topic, values.length, (message) => reader.decode(message.value));
}

await scenario("registry: register, again, latest", async () => {
  const subject = `node-users-${run}`;
  const schema = { type: SchemaType.AVRO, schema: JSON.stringify(USER) };
  const { id } = await registry.register(schema, { subject, compatibility: COMPATIBILITY.FULL });
  const other = new SchemaRegistry({ host });
  assert.equal((await other.register(schema, { subject, compatibility: COMPATIBILITY.FULL })).id, id);
  assert.equal(await other.getLatestSchemaId(subject), id);
  assert.equal(await other.getRegistryId(subject, 1), id);
  assert.equal(await other.getRegistryIdBySchema(subject, schema), id);
});

await scenario("registry: what is not there, what may not follow", async () => {
  const subject = `node-refused-${run}`;
  await assert.rejects(registry.getSchema(2 ** 31 - 1), /Schema 2147483647 not found/);
  const schema = (fields) => ({ type: SchemaType.AVRO, schema: JSON.stringify({ ...USER, fields }) });
  await registry.register(schema(USER.fields), { subject });
  const more = schema([...USER.fields, { name: "age", type: "int" }]);
  await assert.rejects(registry.register(more, { subject }), /READER_FIELD_MISSING_DEFAULT_VALUE/);
  await assert.rejects(registry.getLatestSchemaId(`nobody-${run}`), /Subject 'nobody-.*' not found/);
});

await scenario("avro: register, produce, consume", async () => {
  const topic = `node-avro-${run}`;
  const schema = { type: SchemaType.AVRO, schema: JSON.stringify(USER) };
  const { id } = await registry.register(schema, { subject: `${topic}-value` });
  const values = Array.from({ length: 50 }, (_, n) => ({ id: n, name: n % 2 ? `n${n}` : null }));
  const decoded = await throughTheLog(topic, id, values);
  const plain = decoded.map(({ id, name }) => ({ id, name }));
  const byId = (a, b) => a.id - b.id;
  assert.deepEqual(plain.sort(byId), values);
});

await scenario("avro: old and new records in one topic", async () => {
  const topic = `node-evolution-${run}`;
  const subject = `${topic}-value`;
  const schema = (fields) => ({ type: SchemaType.AVRO, schema: JSON.stringify({ ...USER, fields }) });
  const first = await registry.register(schema(USER.fields), { subject });
  const age = { name: "age", type: "int", default: 18 };
  const second = await registry.register(schema([...USER.fields, age]), { subject });
  assert.ok(second.id > first.id);
  const old = await registry.encode(first.id, { id: 1, name: null });
  const later = await registry.encode(second.id, { id: 2, name: null, age: 3 });
  await send(topic, [{ key: "k", value: old }, { key: "k", value: later }]);
  const reader = new SchemaRegistry({ host });
  const found = await read(topic, 2, ({ value }) => reader.decode(value));
  assert.deepEqual(found.map((one) => one.age), [undefined, 3]);
  assert.deepEqual([old.readInt32BE(1), later.readInt32BE(1)], [first.id, second.id]);
});

await scenario("json schema: register, produce, consume", async () => {
  const topic = `node-json-${run}`;
  const schema = { type: "object", properties: { id: { type: "integer" } }, required: ["id"] };
  const { id } = await registry.register(
    { type: SchemaType.JSON, schema: JSON.stringify(schema) },
    { subject: `${topic}-value` },
  );
  assert.deepEqual(await throughTheLog(topic, id, [{ id: 1 }]), [{ id: 1 }]);
});

await scenario("protobuf: register, produce, consume", async () => {
  const topic = `node-protobuf-${run}`;
  const schema = `syntax = "proto3"; package shop; message User { int32 id = 1; string name = 2; }`;
  const { id } = await registry.register({ type: SchemaType.PROTOBUF, schema }, { subject: `${topic}-value` });
  const [found] = await throughTheLog(topic, id, [{ id: 7, name: "n" }]);
  assert.deepEqual({ id: found.id, name: found.name }, { id: 7, name: "n" });
});

end();
