// The HTTP API's own description is valid by the official schema of OpenAPI 3.1.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Validator } from '@seriousme/openapi-schema-validator'
import { root } from './lib.mjs'

const document = () => JSON.parse(readFileSync(join(root, 'docs/reference/openapi.json'), 'utf8'))

test('docs/reference/openapi.json is OpenAPI 3.1', async () => {
  const validator = new Validator()
  const found = await validator.validate(document())
  assert.ok(found.valid, JSON.stringify(found.errors, null, 2))
  assert.equal(validator.version, '3.1')
})

for (const [what, spoil] of [
  ['an answer without a description', (it) => delete it.paths['/v1/status'].get.responses['200'].description],
  ['a parameter that is nowhere', (it) => (it.paths['/v1/topics'].get.parameters[0].in = 'somewhere')],
  ['no title', (it) => delete it.info.title],
]) {
  test(`the validator refuses ${what}`, async () => {
    const wrong = document()
    spoil(wrong)
    assert.equal((await new Validator().validate(wrong)).valid, false)
  })
}
