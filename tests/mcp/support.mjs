// What the tests of the Model Context Protocol share: the server.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Starts a server without a toolchain on a free port, calls `use` with its origin, and stops it.
export async function withServer(binary, use) {
    const directory = mkdtempSync(join(tmpdir(), 'sandboxd-mcp-'));
    const config = join(directory, 'config.json');
    writeFileSync(config, JSON.stringify({ toolchain: { emcc: '/nonexistent/emcc' }, mcp: { progressMs: 100 } }));
    const server = spawn(binary, ['--config', config, '--addr', '127.0.0.1:0', '--working-dir', join(directory, 'work')],
                         { stdio: ['ignore', 'pipe', 'ignore'] });
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
