// Runs TypeScript in Node.js: `node typescript.mjs FILE ARGUMENT…`. esbuild makes one module of the file and what it
// imports; types are dropped, not checked. Runs inside the jail, where esbuild lies next to this file.
import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const entry = resolve(process.argv[2] ?? 'index.ts');
const built = join(mkdtempSync('/tmp/.typescript-'), 'main.mjs');
// What CommonJS has and modules have not.
const banner = `import { createRequire as __createRequire } from 'node:module';
const require = __createRequire(${JSON.stringify(pathToFileURL(entry).href)});
const __filename = ${JSON.stringify(entry)}, __dirname = ${JSON.stringify(dirname(entry))};`;
const esbuild = join(dirname(fileURLToPath(import.meta.url)), 'esbuild');
const { status, error } = spawnSync(esbuild, [
  entry, '--bundle', '--platform=node', '--format=esm', '--target=node18', '--external:*.node', '--sourcemap=inline',
  `--banner:js=${banner}`, `--outfile=${built}`, '--log-level=error',
], { stdio: ['ignore', 'inherit', 'inherit'] });
if (error) throw error;
if (status !== 0) process.exit(1);
process.setSourceMapsEnabled(true);
process.argv.splice(1, 2, entry);
await import(pathToFileURL(built).href);
