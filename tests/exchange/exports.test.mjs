// Every export is valid by the official schema of its format.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { Ajv } from 'ajv'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { parse } from 'yaml'
import { exported, odcsSchema, sets } from './lib.mjs'

const asyncapi = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.1.0.json')
const servers = [
  ['--server', 'kafka://broker.example.com:9092', '--server', 'https://events.example.com', '--registry', 'https://example.com/schemas'],
  [],
]

function validator(Library, schema, more = {}) {
  const ajv = new Library({ strict: false, logger: false, ...more })
  addFormats(ajv)
  const validate = ajv.compile(schema)
  return (document) => (validate(document) ? '' : ajv.errorsText(validate.errors, { separator: '\n' }))
}

const forms = {
  asyncapi: {
    // It brings draft-07's own schema along, under the name that the library has it by.
    check: validator(Ajv, asyncapi, { meta: false, validateSchema: false }),
    endings: ['.asyncapi.yaml'],
    // What the format has no word for it refuses, outside of extensions.
    spoil: [
      (document) => (Object.values(document.operations)[0].retry = {}),
      (document) => (document.surprise = 1),
      (document) => delete document.info.version,
    ],
  },
  odcs: {
    check: validator(Ajv2019, odcsSchema()),
    endings: ['.odcs.yaml'],
    spoil: [
      (document) => (document.surprise = 1),
      (document) => (document.schema[0].logicalType = 'map'),
      (document) => delete document.status,
    ],
  },
}

for (const [form, { check, endings, spoil }] of Object.entries(forms)) {
  test(`every export as ${form} is valid by the official schema`, () => {
    let count = 0
    for (const set of sets) {
      for (const words of servers) {
        for (const [name, text] of exported(form, set, ...words)) {
          assert.ok(endings.some((ending) => name.endsWith(ending)), name)
          assert.equal(check(parse(text)), '', `${set}: ${name}`)
          count += 1
        }
      }
    }
    // Contracts of both sets, and as AsyncAPI their readers too, with servers and without.
    assert.equal(count, form === 'asyncapi' ? 2 * (4 + 2 + 4) : 2 * (4 + 4))
  })

  test(`the official schema of ${form} refuses what is not in the format`, () => {
    const [text] = exported(form, sets[1]).values()
    for (const change of spoil) {
      const document = parse(text)
      change(document)
      assert.notEqual(check(document), '', String(change))
    }
  })
}

test('references in an AsyncAPI document lead somewhere', () => {
  for (const set of sets) {
    const all = exported('asyncapi', set)
    const documents = new Map([...all].map(([name, text]) => [name, parse(text)]))
    for (const [name, document] of documents) {
      for (const reference of references(document)) {
        const [file, pointer] = reference.split('#')
        const target = file ? documents.get(file.replace('./', '')) : document
        assert.ok(target, `${name}: ${reference}`)
        const parts = pointer.split('/').slice(1)
        const found = parts.reduce((at, part) => at?.[part.replaceAll('~1', '/').replaceAll('~0', '~')], target)
        assert.notEqual(found, undefined, `${name}: ${reference}`)
      }
    }
  }
})

function* references(value) {
  for (const [key, inner] of Object.entries(value ?? {})) {
    // The contract itself is kept as it is, with words of its own.
    if (key === 'x-contract' || key === 'x-consumer') continue
    if (key === '$ref' && typeof inner === 'string') yield inner
    else if (typeof inner === 'object') yield* references(inner)
  }
}

test('JSON Schemas compile alone', () => {
  let count = 0
  for (const set of sets) {
    for (const [name, text] of exported('jsonschema', set)) {
      const schema = JSON.parse(text)
      const Library = schema.$schema.includes('draft-07') ? Ajv : Ajv2020
      new Library({ strict: false }).compile(schema)
      assert.ok(name.endsWith('.schema.json'))
      count += 1
    }
  }
  assert.equal(count, 2 + 4)
})
