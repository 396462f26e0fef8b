// The server, as tests in Node.js start it.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Starts it on a free port of loopback, with its files in `directory`; answers when it listens. `settings`: its
// config.json.
export async function startServer(binary, directory, settings = {}) {
    const config = join(directory, 'config.json');
    writeFileSync(config, JSON.stringify(settings));
    const server = spawn(binary, ['--config', config, '--addr', '127.0.0.1:0', '--working-dir', join(directory, 'work')],
                         { stdio: ['ignore', 'pipe', 'inherit'] });
    const origin = await new Promise((resolve, reject) => {
        let text = '';
        server.stdout.on('data', (piece) => {
            text += piece;
            const ready = text.match(/^sandboxd listening on (.*)\n/);
            if (ready) resolve(ready[1]);
        });
        server.on('error', reject);
        server.on('exit', (code) => reject(new Error(`sandboxd ended with ${code}`)));
    });
    return { server, origin };
}

// Answers its exit status; null after a signal.
export async function stopServer(server) {
    if (server.exitCode !== null || server.signalCode !== null) return server.exitCode;
    const ended = new Promise((resolve) => server.on('exit', (code) => resolve(code)));
    server.kill('SIGTERM');
    return ended;
}

const newDirectory = () => mkdtempSync(join(tmpdir(), 'sandboxd-server-'));
const remove = (directory) => rmSync(directory, { recursive: true, force: true });

// Calls `use` with the origin of a server that is there meanwhile.
export async function withServer(binary, settings, use) {
    const directory = newDirectory();
    let server;
    try {
        const started = await startServer(binary, directory, settings);
        server = started.server;
        return await use(started.origin);
    } finally {
        if (server) await stopServer(server);
        remove(directory);
    }
}

// The origin of a server that goes with a test of node:test.
export async function serverFor(test, binary, settings) {
    const directory = newDirectory();
    let server;
    test.after(async () => {
        if (server) await stopServer(server);
        remove(directory);
    });
    const started = await startServer(binary, directory, settings);
    server = started.server;
    return started.origin;
}
