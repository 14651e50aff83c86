// KafkaJS: producer, two consumers in a group, admin.
// One line a scenario: `ok - NAME`, or `not ok - NAME: REASON`.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { CompressionTypes, Kafka, logLevel } from "kafkajs";

const LIMIT_MS = 30_000;
const PARTITIONS = 3;
const RECORDS = 2000;

// Fresh names, so that a run does not see what an earlier one left.
const run = randomBytes(4).toString("hex");
const topic = `node-${run}`;
const group = `node-${run}`;

const kafka = new Kafka({ clientId: "tests", brokers: [process.env.BOOTSTRAP], logLevel: logLevel.ERROR });
const admin = kafka.admin();
/** Values in the order they were sent, and read; a list a key, since order is promised per key. */
const sent = new Map();
const found = new Map();
const append = (lists, key, value) => lists.set(key, [...(lists.get(key) ?? []), value]);
// A fetch that waits for 5 s, the default, would keep a member from joining again and from leaving.
const SETTINGS = { groupId: group, maxWaitTimeInMs: 100 };
const members = [1, 2].map(() => ({ consumer: kafka.consumer(SETTINGS), assigned: [], read: 0 }));

let failed = false;
async function scenario(name, body) {
  const began = Date.now();
  try {
    await within(LIMIT_MS, body());
    console.log(`ok - ${name} (${Date.now() - began} ms)`);
  } catch (reason) {
    failed = true;
    console.log(`not ok - ${name}: ${String(reason.message ?? reason).split("\n")[0]}`);
    console.error(reason);
  }
}

async function within(limitMs, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${limitMs} ms`)), limitMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Resolves once `holds()` does; the scenario's own limit ends the wait. */
async function until(holds) {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
}

await scenario("admin: create, list, describe", async () => {
  await admin.connect();
  const topics = [{ topic, numPartitions: PARTITIONS, configEntries: [{ name: "retention.ms", value: "86400000" }] }];
  assert.equal(await admin.createTopics({ topics }), true);
  assert.equal(await admin.createTopics({ topics }), false, "created twice");
  assert.ok((await admin.listTopics()).includes(topic));
  const { topics: described } = await admin.fetchTopicMetadata({ topics: [topic] });
  assert.equal(described[0].partitions.length, PARTITIONS);
  const { brokers } = await admin.describeCluster();
  assert.deepEqual(brokers.map(({ host, port }) => `${host}:${port}`), [process.env.BOOTSTRAP]);
});

await scenario("a group of two shares the partitions", async () => {
  for (const member of members) {
    const { consumer } = member;
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => (member.assigned = payload.memberAssignment[topic] ?? []));
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ partition, message }) => {
        assert.ok(member.assigned.includes(partition), `partition ${partition} is another member's`);
        assert.deepEqual(message.headers.a.map(String), ["1", "2"]);
        append(found, message.key.toString(), message.value.toString());
        member.read++;
      },
    });
  }
  const shared = () => members.flatMap(({ assigned }) => assigned).sort().join() === "0,1,2";
  await until(() => shared() && members.every(({ assigned }) => assigned.length > 0));
});

await scenario("producer: keyed records with headers, plain and gzip", async () => {
  const producer = kafka.producer();
  await producer.connect();
  for (let first = 0; first < RECORDS; first += 100) {
    const messages = Array.from({ length: 100 }, (_, index) => {
      const number = first + index;
      const [key, value] = [`key-${number % 37}`, `value ${number}`];
      append(sent, key, value);
      return { key, value, headers: { a: ["1", "2"], number: String(number) } };
    });
    const compression = first % 200 ? CompressionTypes.GZIP : CompressionTypes.None;
    for (const { errorCode } of await producer.send({ topic, messages, compression, acks: -1 })) assert.equal(errorCode, 0);
  }
  await producer.disconnect();
});

await scenario("the group reads each record once, in order per key", async () => {
  await until(() => members[0].read + members[1].read >= RECORDS);
  for (const { consumer } of members) await consumer.disconnect(); // commits what was read
  assert.deepEqual(members.map(({ read }) => read > 0), [true, true]);
  assert.equal(members[0].read + members[1].read, RECORDS);
  assert.deepEqual(new Map([...found].sort()), new Map([...sent].sort()));
});

await scenario("admin: the group's offsets are the topic's ends", async () => {
  const ends = await admin.fetchTopicOffsets(topic);
  const [{ partitions: committed }] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
  const places = (list) => list.map(({ partition, offset }) => `${partition}@${offset}`).sort();
  assert.deepEqual(places(committed), places(ends));
  assert.equal(ends.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0), RECORDS);
});

await scenario("admin: delete", async () => {
  await admin.deleteTopics({ topics: [topic] });
  assert.ok(!(await admin.listTopics()).includes(topic));
});

await admin.disconnect();
process.exit(failed ? 1 : 0); // a client that hangs does not keep the process
