// What the tests share: the binary, the contract sets, files of the tools that they are held against.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export const here = dirname(fileURLToPath(import.meta.url))
export const root = join(here, '../..')
export const binary = process.env.TIDEGATE ?? join(root, 'target/debug/tidegate')

/** The sets that are tried: all a contract can say, and the one people see first. */
export const sets = ['crates/contract/tests/it/exchange/shop', 'examples/small/contracts']

export function tidegate(...words) {
  return execFileSync(binary, words, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Exports a set and hands over its files by name; the folder is gone afterwards. */
export function exported(form, set, ...words) {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-exchange-'))
  try {
    tidegate('contract', 'export', form, set, '--out', folder, ...words)
    return new Map(files(folder).map((path) => [relative(folder, path), readFileSync(path, 'utf8')]))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

export function files(folder) {
  return readdirSync(folder)
    .sort()
    .map((name) => join(folder, name))
    .flatMap((path) => (statSync(path).isDirectory() ? files(path) : [path]))
}

/** The official schema of ODCS, where pip put it. */
export function odcsSchema() {
  const libraries = join(root, 'target/exchange-python/lib')
  const pythons = readdirSync(libraries).filter((name) => name.startsWith('python3'))
  const path = join(libraries, pythons[0], 'site-packages/open_data_contract_standard/schema.json')
  return JSON.parse(readFileSync(path, 'utf8'))
}
