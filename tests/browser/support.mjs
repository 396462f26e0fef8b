// What the tests in a browser share: Chromium, and the server.

import { spawn } from 'node:child_process';
import { accessSync, constants, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

function findChromium() {
    const candidates = process.env.CHROMIUM
        ? [process.env.CHROMIUM]
        : ['chromium', 'chromium-browser', 'google-chrome'].flatMap(
              (name) => ['/usr/bin', '/usr/local/bin', '/snap/bin'].map((directory) => join(directory, name)));
    for (const candidate of candidates) {
        try {
            accessSync(candidate, constants.X_OK);
            return candidate;
        } catch {
            // The next one, then.
        }
    }
    console.error(
        `There is no Chromium (looked for ${candidates.join(', ')}).\n` +
        'Install it (Debian: apt-get install chromium), or set CHROMIUM to its path.');
    process.exit(1);
}

// With a profile of its own in `directory`, closed by close(). `more`: further switches of Chromium.
export function openBrowser(directory, more = []) {
    return chromium.launchPersistentContext(join(directory, 'profile'), {
        executablePath: findChromium(),
        headless: true,
        chromiumSandbox: false,
        args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
               '--disable-background-networking', '--disable-component-update', '--disable-sync', ...more],
    });
}

// Starts the server on a free port of loopback; answers when it listens. `settings`: its config.json.
export async function startServer(binary, directory, settings) {
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

export async function stopServer(server) {
    const ended = new Promise((resolve) => server.on('exit', (code) => resolve(code)));
    server.kill('SIGTERM');
    return ended;
}
