// A topic read by an EventSource as browsers have it: it comes back by itself with the last id, and gets each event once.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { EventSource } from 'eventsource'
import { binary, root } from './lib.mjs'

const COUNT = 40

async function serve(data) {
  const doors = ['http', 'registry', 'kafka', 'ops'].flatMap((door) => [`--${door}`, '127.0.0.1:0'])
  const words = ['serve', '--data', data, '--contracts', 'examples/small/contracts', ...doors]
  const server = spawn(binary, words, { cwd: root, stdio: ['ignore', 'pipe', 'ignore'] })
  const [line] = await once(createInterface(server.stdout), 'line')
  return { server, http: /http=(\S+)/.exec(line)[1] }
}

/** Hands bytes through, and cuts every connection off now and then. */
async function unreliable(target) {
  const [host, port] = target.split(':')
  const open = new Set()
  const proxy = createServer((near) => {
    const far = connect(Number(port), host)
    open.add(near)
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on('data', (bytes) => to.write(bytes))
      from.on('close', () => to.destroy())
      from.on('error', () => to.destroy())
    }
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const cut = () => {
    for (const connection of open) connection.destroy()
    open.clear()
  }
  return { address: `127.0.0.1:${proxy.address().port}`, cut, close: () => (cut(), proxy.close()) }
}

async function send(http, number) {
  const order = {
    orderId: `o-${1000 + number}`,
    customer: `c-${number % 5}`,
    lines: [{ sku: 'tea-250', quantity: 1 }],
    total: { amount: 100, currency: 'EUR' },
  }
  const headers = {
    'content-type': 'application/json',
    'ce-specversion': '1.0',
    'ce-id': `e-${number}`,
    'ce-source': '/shop/orders',
    'ce-type': 'com.example.order.placed',
  }
  const answer = await fetch(`http://${http}/v1/events`, { method: 'POST', headers, body: JSON.stringify(order) })
  assert.equal(answer.status, 202, await answer.text())
}

test('an EventSource that is cut off gets each event once', { timeout: 60_000 }, async () => {
  const data = mkdtempSync(join(tmpdir(), 'tidegate-events-'))
  const { server, http } = await serve(data)
  const proxy = await unreliable(http)
  const source = new EventSource(`http://${proxy.address}/v1/topics/shop.order-placed/events?from=earliest`)
  try {
    const seen = []
    let opened = 0
    source.onopen = () => opened++
    const all = new Promise((resolve) => {
      source.onmessage = (message) => {
        seen.push(JSON.parse(message.data).receipt.event.id)
        if (seen.length === COUNT) resolve()
      }
    })
    for (let number = 0; number < COUNT; number++) {
      await send(http, number)
      if (number % 10 === 9) proxy.cut()
    }
    await all
    // What came twice would come now, with the event after it.
    await send(http, COUNT)
    while (seen.length === COUNT) await new Promise((resolve) => setTimeout(resolve, 20))
    assert.deepEqual([...seen].sort(), Array.from({ length: COUNT + 1 }, (_, number) => `e-${number}`).sort())
    assert.ok(opened > 1, 'it was cut off')
  } finally {
    source.close()
    proxy.close()
    server.kill('SIGTERM')
    await once(server, 'exit')
    rmSync(data, { recursive: true })
  }
})
