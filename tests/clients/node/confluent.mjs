// Confluent's JavaScript client of the registry with its serializers, over KafkaJS. It asks `/associations/…` before it first writes
// to a topic, and expects 404 in the registry's form. One line a scenario: `ok - NAME`, or `not ok - NAME: REASON`.
import assert from "node:assert/strict";
import { create, createFileRegistry, createMutableRegistry } from "@bufbuild/protobuf";
import { FieldDescriptorProto_Label, FieldDescriptorProto_Type, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import {
  AvroDeserializer,
  AvroSerializer,
  CelExecutor,
  Compatibility,
  HeaderSchemaIdSerializer,
  JsonDeserializer,
  JsonSerializer,
  ProtobufDeserializer,
  ProtobufSerializer,
  RestError,
  SchemaRegistryClient,
  SerdeType,
} from "@confluentinc/schemaregistry";
import { end, host, read, run, scenario, send } from "./shared.mjs";

CelExecutor.register();

const client = () => new SchemaRegistryClient({ baseURLs: [host], maxRetries: 0 });
const registry = client();
const AUTO = { autoRegisterSchemas: true };
const LATEST = { useLatestVersion: true, autoRegisterSchemas: false };

const USER = '{"type":"record","name":"User","namespace":"shop","fields":[{"name":"id","type":"long"}]}';
const USER_2 = USER.replace("]}", ',{"name":"name","type":"string","default":""}]}');
const USER_BROKEN = USER.replace("long", "string");
const avro = (schema, more = {}) => ({ schema, schemaType: "AVRO", ...more });

/** Resolves with the refusal, which has to have this code and status. */
async function refused(errorCode, status, promise) {
  const error = await promise.then(() => assert.fail(`${errorCode} was expected`), (reason) => reason);
  assert.ok(error instanceof RestError, String(error.stack));
  assert.deepEqual({ errorCode: error.errorCode, status: error.status }, { errorCode, status }, error.message);
  return error.message;
}

/** Sends a value by a serializer and resolves with what another client reads, and with the message. */
async function throughTheLog(topic, serializer, deserializer, value) {
  const headers = {};
  await send(topic, [{ value: await serializer.serialize(topic, value, headers), headers }]);
  const decode = async (message) => [await deserializer.deserialize(topic, message.value, message.headers), message];
  return (await read(topic, 1, decode))[0];
}

await scenario("registry: register, look up, read back", async () => {
  const subject = `confluent-users-${run}`;
  const first = await registry.registerFullResponse(subject, avro(USER));
  const other = client();
  assert.equal(await other.register(subject, avro(USER.replaceAll(",", ", "))), first.id);
  assert.equal((await other.getByGuid(first.guid)).schema, USER);
  assert.equal((await other.getBySubjectAndId(subject, first.id)).schema, USER);
  assert.equal(await other.getId(subject, avro(USER)), first.id);
  assert.equal(await other.getVersion(subject, avro(USER), false, false), 1);
  await other.register(subject, avro(USER_2));
  assert.deepEqual(await other.getAllVersions(subject), [1, 2]);
  assert.equal((await other.getLatestSchemaMetadata(subject)).schema, USER_2);
  assert.ok((await other.getAllSubjects()).includes(subject));
});

await scenario("registry: 40403, 40401, 40402, 409, 42201, 42203 and 404 by their codes", async () => {
  const subject = `confluent-refused-${run}`;
  await registry.register(subject, avro(USER));
  await refused(40403, 404, registry.getByGuid("00000000-0000-0000-0000-000000000000"));
  await refused(40403, 404, registry.getId(subject, avro(USER_2)));
  await refused(40401, 404, registry.getId(`nobody-${run}`, avro(USER)));
  await refused(40402, 404, registry.getSchemaMetadata(subject, 7));
  const message = await refused(409, 409, registry.register(subject, avro(USER_BROKEN)));
  assert.match(message, /TYPE_MISMATCH.*\/fields\/0\/type/);
  await refused(42201, 422, registry.register(subject, avro('{"type":"x"}')));
  await refused(42203, 422, registry.updateCompatibility(subject, "SIDEWAYS"));
  await refused(404, 404, registry.getAssociationsByResourceName("t", "-", "topic", ["value"], null, 0, -1));
  assert.equal(await registry.testSubjectCompatibility(subject, avro(USER_BROKEN)), false);
  assert.equal(await registry.testSubjectCompatibility(`nobody-${run}`, avro(USER_BROKEN)), true);
  await registry.updateCompatibility(subject, Compatibility.NONE);
  assert.equal(await registry.getCompatibility(subject), Compatibility.NONE);
  assert.equal(await registry.testSubjectCompatibility(subject, avro(USER_BROKEN)), true);
});

await scenario("registry: soft and hard deletes", async () => {
  const subject = `confluent-deleted-${run}`;
  await registry.register(subject, avro(USER));
  await refused(40405, 404, client().deleteSubject(subject, true));
  assert.deepEqual(await client().deleteSubject(subject), [1]);
  await refused(40401, 404, client().getLatestSchemaMetadata(subject));
  assert.deepEqual(await client().deleteSubject(subject, true), [1]);
  await refused(40401, 404, client().deleteSubject(subject));
});

await scenario("avro: produce, evolve, consume with ids", async () => {
  const topic = `confluent-avro-${run}`;
  const encode = (value) => new AvroSerializer(registry, SerdeType.VALUE, LATEST).serialize(topic, value);
  const first = await registry.register(`${topic}-value`, avro(USER));
  const old = await encode({ id: 1 });
  const second = await registry.register(`${topic}-value`, avro(USER_2));
  // Which version is the latest is kept for a while.
  const later = await new AvroSerializer(client(), SerdeType.VALUE, LATEST).serialize(topic, { id: 2, name: "n" });
  assert.deepEqual([old, later].map((value) => [value[0], value.readInt32BE(1)]), [[0, first], [0, second]]);
  await send(topic, [{ key: "k", value: old }, { key: "k", value: later }]);
  const reader = new AvroDeserializer(client(), SerdeType.VALUE, { useLatestVersion: true });
  const found = await read(topic, 2, (message) => reader.deserialize(topic, message.value));
  assert.deepEqual(found.map(({ id, name }) => ({ id, name })), [{ id: 1, name: "" }, { id: 2, name: "n" }]);
});

await scenario("avro: references between subjects, a GUID in the header", async () => {
  const topic = `confluent-orders-${run}`;
  const users = `confluent-referenced-${run}`;
  await registry.register(users, avro(USER));
  const order = '{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"by","type":"shop.User"}]}';
  const references = [{ name: "shop.User", subject: users, version: 1 }];
  const { guid } = await registry.registerFullResponse(`${topic}-value`, avro(order, { references }));
  const settings = { ...LATEST, schemaIdSerializer: HeaderSchemaIdSerializer };
  const serializer = new AvroSerializer(registry, SerdeType.VALUE, settings);
  const deserializer = new AvroDeserializer(client(), SerdeType.VALUE, {});
  const [found, message] = await throughTheLog(topic, serializer, deserializer, { by: { id: 7 } });
  assert.equal(found.by.id, 7);
  const header = Buffer.from(message.headers.__value_schema_id);
  assert.equal(header.toString("hex"), `01${guid.replaceAll("-", "")}`);
  assert.match(await refused(42206, 422, client().deleteSubjectVersion(users, 1)), new RegExp(users));
});

await scenario("json schema: produce, consume, refuse", async () => {
  const topic = `confluent-json-${run}`;
  const schema = { type: "object", properties: { id: { type: "integer" } }, required: ["id"], additionalProperties: false };
  await registry.register(`${topic}-value`, { schemaType: "JSON", schema: JSON.stringify(schema) });
  const serializer = new JsonSerializer(registry, SerdeType.VALUE, { ...LATEST, validate: true });
  const deserializer = new JsonDeserializer(client(), SerdeType.VALUE, {});
  assert.deepEqual((await throughTheLog(topic, serializer, deserializer, { id: 1 }))[0], { id: 1 });
  await assert.rejects(serializer.serialize(topic, { id: "x" }), /Invalid message/);
  const broken = { ...schema, properties: { id: { type: "string" } } };
  const register = registry.register(`${topic}-value`, { schemaType: "JSON", schema: JSON.stringify(broken) });
  assert.match(await refused(409, 409, register), /TYPE_CHANGED/);
});

await scenario("protobuf: register, produce, consume", async () => {
  const topic = `confluent-protobuf-${run}`;
  const field = (name, number, type) => ({ name, number, type, label: FieldDescriptorProto_Label.OPTIONAL, jsonName: name });
  const fields = [field("id", 1, FieldDescriptorProto_Type.INT64), field("name", 2, FieldDescriptorProto_Type.STRING)];
  const messageType = [{ name: "User", field: fields }];
  const file = create(FileDescriptorProtoSchema, { name: `user_${run}.proto`, package: "shop", syntax: "proto3", messageType });
  const known = createFileRegistry(file, () => undefined);
  const kind = known.getMessage("shop.User");
  const serializer = new ProtobufSerializer(registry, SerdeType.VALUE, { ...AUTO, registry: createMutableRegistry(kind) });
  const deserializer = new ProtobufDeserializer(client(), SerdeType.VALUE, {});
  const [found] = await throughTheLog(topic, serializer, deserializer, create(kind, { id: 7n, name: "n" }));
  assert.deepEqual([found.id, found.name], [7n, "n"]);
  // Sent compiled, stored as text.
  assert.match((await client().getLatestSchemaMetadata(`${topic}-value`)).schema, /message User \{/);
});

await scenario("data contract: metadata, tags and a CEL condition that a client executes", async () => {
  const topic = `confluent-contract-${run}`;
  const rule = { name: "positive", kind: "CONDITION", mode: "WRITE", type: "CEL", expr: "message.id > 0", disabled: false };
  const metadata = { tags: { "shop.User.id": ["PII"] }, properties: { owner: "shop" }, sensitive: ["secret"] };
  await registry.register(`${topic}-value`, avro(USER, { metadata, ruleSet: { domainRules: [rule] } }));
  const found = await client().getLatestWithMetadata(`${topic}-value`, { owner: "shop" });
  assert.deepEqual(found.metadata, metadata);
  assert.deepEqual(found.ruleSet, { domainRules: [rule] });
  const serializer = new AvroSerializer(client(), SerdeType.VALUE, LATEST);
  await throughTheLog(topic, serializer, new AvroDeserializer(client(), SerdeType.VALUE, {}), { id: 1 });
  await assert.rejects(serializer.serialize(topic, { id: -1 }));
});

end();
