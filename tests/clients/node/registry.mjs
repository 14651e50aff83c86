// KafkaJS with @kafkajs/confluent-schema-registry: Avro and JSON Schema through registry and log.
// One line a scenario: `ok - NAME`, or `not ok - NAME: REASON`.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import registries from "@kafkajs/confluent-schema-registry";
import { Kafka, logLevel } from "kafkajs";

const { COMPATIBILITY, SchemaRegistry, SchemaType } = registries;
const LIMIT_MS = 30_000;
// Fresh names, so that a run does not see what an earlier one left.
const run = randomBytes(4).toString("hex");
const host = `http://${process.env.REGISTRY}`;
const registry = new SchemaRegistry({ host, retry: { retries: 0 } });
const kafka = new Kafka({ clientId: "tests", brokers: [process.env.BOOTSTRAP], logLevel: logLevel.ERROR });

const USER = {
  type: "record",
  name: "User",
  namespace: "shop",
  fields: [{ name: "id", type: "long" }, { name: "name", type: ["null", "string"], default: null }],
};

let failed = false;
async function scenario(name, body) {
  const began = Date.now();
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${LIMIT_MS} ms`)), LIMIT_MS);
  });
  try {
    await Promise.race([body(), late]);
    console.log(`ok - ${name} (${Date.now() - began} ms)`);
  } catch (reason) {
    failed = true;
    console.log(`not ok - ${name}: ${String(reason.message ?? reason).split("\n")[0]}`);
    console.error(reason);
  } finally {
    clearTimeout(timer);
  }
}

/** Sends encoded values and resolves with what a consumer decodes. */
async function throughTheLog(topic, id, values) {
  const producer = kafka.producer();
  await producer.connect();
  const messages = await Promise.all(values.map(async (value) => ({ value: await registry.encode(id, value) })));
  await producer.send({ topic, messages });
  await producer.disconnect();
  // Another client, which has to ask for the schema.
  const reader = new SchemaRegistry({ host });
  const consumer = kafka.consumer({ groupId: topic, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const read = [];
  await consumer.run({ eachMessage: async ({ message }) => void read.push(await reader.decode(message.value)) });
  while (read.length < values.length) await new Promise((resolve) => setTimeout(resolve, 20));
  await consumer.disconnect();
  return read;
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
  const read = await throughTheLog(topic, id, values);
  const plain = read.map(({ id, name }) => ({ id, name }));
  const byId = (a, b) => a.id - b.id;
  assert.deepEqual(plain.sort(byId), values);
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
  const [read] = await throughTheLog(topic, id, [{ id: 7, name: "n" }]);
  assert.deepEqual({ id: read.id, name: read.name }, { id: 7, name: "n" });
});

process.exit(failed ? 1 : 0);
