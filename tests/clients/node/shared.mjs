// What the registry's clients share: names, scenarios, KafkaJS. One line a scenario: `ok - NAME`, or `not ok - NAME: REASON`.
import { randomBytes } from "node:crypto";
import { Kafka, logLevel } from "kafkajs";

const LIMIT_MS = 30_000;
/** Fresh names, so that a run does not see what an earlier one left. */
export const run = randomBytes(4).toString("hex");
export const host = `http://${process.env.REGISTRY}`;
export const kafka = new Kafka({ clientId: "tests", brokers: [process.env.BOOTSTRAP], logLevel: logLevel.ERROR });

let failed = false;

export async function scenario(name, body) {
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

export function end() {
  process.exit(failed ? 1 : 0);
}

export async function send(topic, messages) {
  const producer = kafka.producer();
  await producer.connect();
  await producer.send({ topic, messages });
  await producer.disconnect();
}

/** Resolves with what `decode` makes of the first messages of a topic. */
export async function read(topic, count, decode) {
  const consumer = kafka.consumer({ groupId: topic, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const found = [];
  const done = new Promise((resolve, reject) => {
    const eachMessage = async ({ message }) => {
      try {
        found.push(await decode(message));
      } catch (reason) {
        reject(reason);
      }
      if (found.length === count) resolve();
    };
    consumer.run({ eachMessage }).catch(reject);
  });
  await done.finally(() => consumer.disconnect());
  return found;
}
