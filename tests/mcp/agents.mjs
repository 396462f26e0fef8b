// The examples of agents do what they say. Usage: node agents.mjs SANDBOXD

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { withServer } from './support.mjs';

const run = promisify(execFile);
const names = ['compile', 'run_javascript', 'continue_javascript', 'run_program', 'deploy', 'logs', 'undeploy'];

// Without a server, or with what is none, they say how they are used.
for (const [program, script] of [['python3', 'agent.py'], [process.execPath, 'agent.ts']]) {
    for (const words of [[], ['localhost'], ['http://localhost:1', 'more']]) {
        const failed = await run(program, [script, ...words]).then(() => undefined, (error) => error);
        const what = `${script} ${words.join(' ')}: ${failed?.stderr}`;
        assert.equal(failed?.code, 2, what);
        assert.match(failed.stderr, new RegExp(`(^|\n)usage: \\S+ ${script} URL, such as http://localhost:8080\n$`), what);
        assert.equal(failed.stdout, '');
    }
}

await withServer(process.argv[2], async (origin) => {
    const python = await run('python3', ['agent.py', origin]);
    assert.equal(python.stdout, `[${names.map((name) => `'${name}'`).join(', ')}]\n42\n`);
    const typescript = await run(process.execPath, ['agent.ts', origin]);
    for (const name of names) assert.ok(typescript.stdout.includes(`'${name}'`), name);
    assert.match(typescript.stdout, /\n42 0\n$/);
});
