// What the tests of the API's description share: the server, and its description.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Starts a server with its defaults on a free port, calls `use` with its origin, and stops it.
export async function withServer(binary, use) {
    const directory = mkdtempSync(join(tmpdir(), 'sandboxd-description-'));
    const config = join(directory, 'config.json');
    writeFileSync(config, '{}');
    const server = spawn(binary, ['--config', config, '--addr', '127.0.0.1:0', '--working-dir', join(directory, 'work')],
                         { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => server.on('exit', resolve));
    try {
        const origin = await new Promise((resolve, reject) => {
            let text = '';
            server.stdout.on('data', (piece) => {
                text += piece;
                const ready = text.match(/^sandboxd listening on (.*)\n/);
                if (ready) resolve(ready[1]);
            });
            server.on('error', reject);
            ended.then((code) => reject(new Error(`sandboxd ended with ${code}`)));
        });
        return await use(origin);
    } finally {
        server.kill('SIGTERM');
        await ended;
        rmSync(directory, { recursive: true, force: true });
    }
}

export async function descriptionOf(origin) {
    const answer = await fetch(`${origin}/openapi.json`);
    if (answer.status !== 200) throw new Error(`GET /openapi.json: ${answer.status}`);
    return answer.text();
}
