// The format's own schema where people meet it: in the language service of YAML editors.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { TextDocument } from 'vscode-languageserver-textdocument'
import { files, root, sets, tidegate } from './lib.mjs'

const { getLanguageService } = createRequire(import.meta.url)('yaml-language-server')
const schema = tidegate('contract', 'schema')
const NAME = 'contract.v1.schema.json'
const MODELINE = `# yaml-language-server: $schema=./${NAME}\n`

const asked = []
const service = getLanguageService({
  // The only file there is: what the modeline names, beside the document.
  schemaRequestService: async (uri) => {
    asked.push(uri)
    if (uri.endsWith(`/${NAME}`)) return schema
    throw new Error(`there is no ${uri}`)
  },
  workspaceContext: { resolveRelativePath: (path, resource) => new URL(path, resource).href },
  telemetry: { send() {}, sendError(_, error) { throw error }, sendTrack() {} },
})
const settings = { validate: true, completion: true, hover: true, format: false, isKubernetes: false }
service.configure(settings)

let count = 0
function document(text) {
  count += 1
  return TextDocument.create(`file:///work/${count}.yaml`, 'yaml', 1, text)
}

async function diagnostics(text) {
  const found = await service.doValidation(document(text), false)
  return found.map((one) => ({ line: one.range.start.line + 1, message: one.message }))
}

const GOOD = `${MODELINE}apiVersion: contract/v1
kind: EventContract
metadata:
  name: order-placed
spec:
  class: fact
  schema:
    file: schemas/order.json
  key:
    from: $.orderId
`

test('good files give no diagnostics', async () => {
  const contracts = sets.flatMap((set) => files(join(root, set))).filter((path) => path.endsWith('.yaml'))
  assert.ok(contracts.length >= 8, String(contracts))
  for (const path of contracts) {
    // A modeline is of its document only, so each gets one.
    const text = readFileSync(path, 'utf8')
      .split(/^---\n/m)
      .map((one) => MODELINE + one)
      .join('---\n')
    assert.deepEqual(await diagnostics(text), [], path)
  }
  assert.deepEqual(await diagnostics(GOOD), [])
  assert.ok(asked.every((uri) => uri.endsWith(`/${NAME}`)) && asked.length > 0, String(asked))
})

const wrong = [
  ['a misspelt key', ['  class: fact', '  klass: fact'], [6, 7], /klass/],
  ['a misspelt key inside', ['    file:', '    fyle:'], [8, 9], /fyle/],
  ['a word that is none', ['class: fact', 'class: fct'], [7], /fact/],
  ['a form that does not fit', ['$.orderId', 'orderId'], [11], /pattern/i],
  ['a name that is missing', ['  name: order-placed\n', '  version: 1.0.0\n'], [4], /name/],
  ['a kind that is none', ['EventContract', 'EventContrat'], [3], /EventContract/],
  ['a key of another kind', ['  class: fact', '  class: fact\n  pager: mailto:a@b'], [8], /pager/],
  ['a number for a text', ['name: order-placed', 'name: 5'], [5], /string/],
]
for (const [what, [from, to], lines, message] of wrong) {
  test(`${what} gives a diagnostic at its line`, async () => {
    const text = GOOD.replace(from, to)
    assert.notEqual(text, GOOD)
    const found = await diagnostics(text)
    const fits = found.filter((one) => lines.includes(one.line) && message.test(one.message))
    assert.ok(fits.length > 0, JSON.stringify(found))
    assert.deepEqual(found.filter((one) => !lines.includes(one.line)), [], 'nothing else is complained about')
  })
}

test('a second document of a file is judged by its own kind', async () => {
  const team = (key) => `apiVersion: contract/v1\nkind: Team\nmetadata: {name: team}\nspec: {${key}: "mailto:a@example.com"}\n`
  // A modeline is of its document only.
  const each = (key) => `${GOOD}---\n${MODELINE}${team(key)}`
  assert.deepEqual(await diagnostics(each('pager')), [])
  const found = await diagnostics(each('pagr'))
  assert.ok(found.length > 0 && found.every((one) => one.line === 17), JSON.stringify(found))
  assert.deepEqual(await diagnostics(`${GOOD}---\n${team('pagr')}`), [], 'a document without one is not judged')
  // An editor's setting is of the whole file.
  const uri = `file:///work/${NAME}`
  service.configure({ ...settings, schemas: [{ uri, fileMatch: ['*.yaml'] }] })
  const whole = await diagnostics(`${GOOD.replace(MODELINE, '')}---\n${team('pagr')}`)
  service.configure(settings)
  assert.ok(whole.length > 0 && whole.every((one) => one.line === 15), JSON.stringify(whole))
})

async function completions(text) {
  const at = text.indexOf('@@')
  const doc = document(text.replace('@@', ''))
  const list = await service.doComplete(doc, doc.positionAt(at), false)
  return list.items.map((item) => item.label)
}

test('completion offers the keys and words of the format', async () => {
  const check = async (text, wanted, unwanted) => {
    const offered = await completions(text)
    for (const word of wanted) assert.ok(offered.includes(word), `${word} of ${offered}`)
    for (const word of unwanted) assert.ok(!offered.includes(word), `${word} of ${offered}`)
  }
  await check(`${GOOD}  @@`, ['topic', 'ingress', 'replay', 'privacy'], ['pager', 'class', 'via'])
  await check(GOOD.replace('class: fact', 'class: @@'), ['fact', 'command', 'telemetry'], ['state'])
  await check(`${GOOD}  topic:\n    @@`, ['name', 'partitions', 'retention'], ['file'])
  await check(`${MODELINE}apiVersion: contract/v1\nkind: @@\n`, ['EventContract', 'ConsumerContract', 'Team'], [])
  const team = `${MODELINE}apiVersion: contract/v1\nkind: Team\nmetadata: {name: a}\nspec:\n  @@`
  await check(team, ['pager', 'approves'], ['class', 'topic'])
})

test('hovering a key tells what it is for, and its default with the reason', async () => {
  const text = `${GOOD}  topic:\n    retention: 30d\n`
  const doc = document(text)
  const hover = await service.doHover(doc, doc.positionAt(text.indexOf('retention') + 2))
  const told = JSON.stringify(hover?.contents)
  assert.match(told, /how long the log keeps the events/)
  assert.match(told, /default 30d \(fact\)/)
})
