// Sends events to tidegate with the CloudEvents SDK: in binary and in structured mode, once more, and a wrong one.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { CloudEvent, HTTP, type Message } from "cloudevents";

const EVENTS = new URL("/v1/events", process.env.TIDEGATE_URL ?? "http://127.0.0.1:8080");
const API_KEY = process.env.TIDEGATE_API_KEY;
const TRIES = 8;
const TIMEOUT_MS = 10_000;
const LONGEST_WAIT_S = 30;

interface Order {
  orderId: string;
  customer: string;
  lines: { sku: string; quantity: number }[];
  total?: { amount: number; currency: string };
}

interface Receipt {
  id: string;
  duplicate: boolean;
}

interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
}

class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(`${problem.status} ${problem.title}: ${problem.detail} (${problem.type})`);
  }
}

// The id is made once, with the event: whoever sends it again sends the same id.
function orderPlaced(order: Order): CloudEvent<Order> {
  return new CloudEvent({
    id: randomUUID(),
    source: "/shop/orders",
    type: "com.example.order.placed",
    time: new Date().toISOString(),
    datacontenttype: "application/json",
    data: order,
  });
}

async function send(message: Message): Promise<Receipt> {
  const headers = new Headers(message.headers as Record<string, string>);
  if (API_KEY) headers.set("Authorization", `Bearer ${API_KEY}`);
  for (let left = TRIES - 1; ; left--) {
    const request = { method: "POST", headers, body: message.body as string, signal: AbortSignal.timeout(TIMEOUT_MS) };
    let seconds = 1;
    try {
      const response = await fetch(EVENTS, request);
      if (response.status === 202) return (await response.json()) as Receipt;
      const problem = (await response.json()) as Problem;
      // Only these two may be sent again. Anything else stays wrong, however often it is sent.
      if ((response.status !== 429 && response.status !== 503) || left === 0) throw new Refused(problem);
      seconds = Math.min(Number(response.headers.get("Retry-After") ?? 1), LONGEST_WAIT_S);
      console.error(`${response.status} ${problem.title}: again in ${seconds} s`);
    } catch (error) {
      // Without an answer the event may be stored or not. The same id makes it safe to send it again.
      if (error instanceof Refused || left === 0) throw error;
      console.error(`no answer: again in ${seconds} s`);
    }
    await sleep(seconds * 1000);
  }
}

function show(what: string, receipt: Receipt): void {
  console.log(`${what}: ${receipt.duplicate ? "duplicate" : "accepted"}, receipt ${receipt.id}`);
}

async function main(): Promise<void> {
  const lines = [{ sku: "tea-250", quantity: 2 }];
  const total = { amount: 1580, currency: "EUR" };

  const first = orderPlaced({ orderId: "o-2001", customer: "c-17", lines, total });
  show("binary", await send(HTTP.binary(first)));
  show("binary again", await send(HTTP.binary(first)));

  const second = orderPlaced({ orderId: "o-2002", customer: "c-42", lines, total });
  show("structured", await send(HTTP.structured(second)));
  show("structured again", await send(HTTP.structured(second)));

  const withoutTotal = orderPlaced({ orderId: "o-2003", customer: "c-42", lines });
  try {
    show("wrong", await send(HTTP.binary(withoutTotal)));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    console.log(`wrong: refused, ${error.message}`);
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
