// The examples of agents do what they say. Usage: node agents.mjs SANDBOXD

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { withServer } from './support.mjs';

const run = promisify(execFile);
const names = ['compile', 'run_javascript', 'continue_javascript', 'run_program', 'deploy', 'logs', 'undeploy'];

await withServer(process.argv[2], async (origin) => {
    const python = await run('python3', ['agent.py', origin]);
    assert.equal(python.stdout, `[${names.map((name) => `'${name}'`).join(', ')}]\n42\n`);
    const typescript = await run(process.execPath, ['agent.ts', origin]);
    for (const name of names) assert.ok(typescript.stdout.includes(`'${name}'`), name);
    assert.match(typescript.stdout, /\n42 0\n$/);
});
