// What the tests in a browser share: Chromium.

import { accessSync, constants } from 'node:fs';
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
