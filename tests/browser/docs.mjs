// The page of the API's description in a real Chromium: it shows every operation, sends requests to this server, and
// asks for nothing elsewhere.
//
//     node docs.mjs SANDBOXD     (playwright-core and axe-core must be installed beside this file)
//
// ORIGIN: of a server that runs already, to be tested instead.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer, stopServer } from '../support/server.mjs';
import { openBrowser } from './support.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const patience = Number(process.env.PATIENCE_MS ?? 60_000);  // against a hang; nothing is measured

const violations = (page) => page.evaluate(async () => {
    // Colours that are on their way to others count as they will be.
    const settle = (root) => {
        for (const one of root.getAnimations()) one.finish();
        for (const one of root.querySelectorAll('*')) if (one.shadowRoot) settle(one.shadowRoot);
    };
    await document.querySelector('rapi-doc').updateComplete;
    settle(document);
    const result = await globalThis.axe.run({ resultTypes: ['violations'] });
    return result.violations.map(({ id, nodes }) => ({ id, nodes: nodes.slice(0, 4).map((node) => node.html.slice(0, 160)) }));
});

// In light and dark, with whatever the page shows.
async function checkAccess(page, what) {
    for (const colorScheme of ['dark', 'light']) {
        await page.emulateMedia({ colorScheme });
        await page.locator(`rapi-doc[theme=${colorScheme}]`).waitFor();
        assert.deepEqual(await violations(page), [], `${what}, ${colorScheme}`);
    }
}

async function checkPage(browser, origin) {
    const page = await browser.newPage();
    const requests = [];
    const problems = [];
    page.on('request', (request) => requests.push(request.url()));
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (message) => {
        if (message.type() === 'error' && !/status of [45]\d\d/.test(message.text())) problems.push(message.text());
    });
    const answer = await page.goto(`${origin}/docs`);
    assert.equal(answer.status(), 200);
    const policy = answer.headers()['content-security-policy'];
    assert.match(policy, /default-src 'none'; script-src 'self';/);
    assert.match(policy, /require-trusted-types-for 'script'; trusted-types lit-html$/);
    await page.locator('rapi-doc .nav-bar-path').first().waitFor();

    const described = await (await fetch(`${origin}/openapi.json`)).json();
    const operations = Object.entries(described.paths).flatMap(([path, item]) =>
        Object.keys(item).filter((key) => /^(get|head|post|put|patch|delete|options)$/.test(key)).map((method) => `${method} ${path}`));
    assert.ok(operations.length > 40);
    const shown = await page.locator('rapi-doc .nav-bar-path').evaluateAll((all) => all.map((one) => one.textContent.trim().replace(/\s+/g, ' ')));
    assert.deepEqual(shown.map((text) => text.replace(/^(\w+)\s*(\/.*)$/, (_, method, path) => `${method.toLowerCase()} ${path}`)).sort(),
                     operations.sort());
    console.log(`ok: it shows ${shown.length} operations`);

    await checkAccess(page, 'the overview');

    // The page's own requests go to this server, and their answers are shown.
    const tryIt = async (method, path, shows) => {
        await page.locator('rapi-doc .nav-bar-path', { hasText: new RegExp(`^\\s*${method}\\s*${path}\\s*$`, 'i') }).click();
        const operation = page.locator(`rapi-doc [id="${method}-${path}"]`);
        const answered = page.waitForResponse((one) => new URL(one.url()).pathname === path && one.status() === 200);
        await operation.locator('button', { hasText: /^\s*Try\s*$/i }).click();
        await answered;
        await operation.locator('api-request pre', { hasText: shows }).first().waitFor();
        console.log(`ok: "try it" of ${method} ${path} shows ${shows}`);
    };
    await tryIt('get', '/version', 'sandboxd');
    await tryIt('post', '/execute', '377');

    // A stream is not what it can show: of two forms of an answer it asks for JSON.
    await page.locator('rapi-doc .nav-bar-path', { hasText: /^\s*post\s*\/compile\s*$/i }).click();
    const asked = page.waitForRequest((one) => new URL(one.url()).pathname === '/compile');
    await page.locator('rapi-doc [id="post-/compile"] button', { hasText: /^\s*Try\s*$/i }).click();
    assert.equal((await asked).headers().accept, 'application/json');
    console.log('ok: it asks for JSON');

    await checkAccess(page, 'an answer');
    for (const operation of ['get /readyz', 'put /faas/deployments/{id}/files', 'delete /sandbox/{id}', 'patch /faas/{id}/{path}']) {
        const [method, path] = operation.split(' ');
        await page.locator('rapi-doc .nav-bar-path').filter({ hasText: new RegExp(`^\\s*${method}`, 'i') })
            .filter({ has: page.getByText(path, { exact: true }) }).click();
        const there = page.locator(`rapi-doc [id="${operation.replace(' ', '-').replaceAll(/[{}]/g, '-')}"]`);
        await there.waitFor();
        await checkAccess(page, operation);
        if (method === 'delete') continue;  // its answer has no body
        await there.locator('button.tab-btn:visible', { hasText: /^schema$/i }).first().click();
        await checkAccess(page, `${operation}, schema`);
    }
    console.log('ok: axe finds nothing, in light and dark');

    assert.deepEqual(problems, []);
    for (const url of requests)
        assert.ok(/^(blob|data):/.test(url) || url.startsWith(`${origin}/`), `it asked for ${url}`);
    console.log(`ok: ${requests.length} requests, all to this server`);
    await page.close();
}

// There is no room for the list of operations, so they are all on the page.
async function checkNarrow(browser, origin) {
    const page = await browser.newPage();
    await page.setViewportSize({ width: 360, height: 740 });
    await page.goto(`${origin}/docs`);
    for (const id of ['post-/compile', 'get-/version'])
        await page.locator(`rapi-doc [id="${id}"]`).waitFor({ timeout: patience });
    await checkAccess(page, 'a narrow page');
    console.log('ok: a narrow page shows the operations');
    await page.close();
}

async function checkDisabled(origin) {
    for (const path of ['/docs', '/docs/docs.html']) {
        const answer = await fetch(origin + path);
        assert.equal(answer.status, 404);
        assert.deepEqual(await answer.json(), { ok: false, error: `there is nothing at ${path}`, code: 'not_found' });
    }
    assert.equal((await fetch(`${origin}/openapi.json`)).status, 200);
    console.log('ok: docs.enabled = false leaves the description alone');
}

async function main() {
    const [binary] = process.argv.slice(2);
    assert.ok(binary, 'usage: node docs.mjs SANDBOXD');
    const directory = mkdtempSync(join(tmpdir(), 'sandboxd-docs-'));
    const servers = [];
    let browser;
    try {
        const start = async (name, settings) => {
            const own = join(directory, name);
            mkdirSync(own);
            const made = await startServer(binary, own, { toolchain: { emcc: '/nonexistent/emcc' }, ...settings });
            servers.push(made.server);
            return made.origin;
        };
        const origin = process.env.ORIGIN ?? await start('with', {});
        const without = process.env.ORIGIN ?? await start('without', { js: { enabled: false }, docs: { enabled: false } });
        browser = await openBrowser(directory);
        browser.setDefaultTimeout(patience);
        await browser.addInitScript({ content: axe });
        await checkPage(browser, origin);
        await checkNarrow(browser, origin);
        if (!process.env.ORIGIN) await checkDisabled(without);
        for (const one of servers) assert.equal(await stopServer(one), 0);
    } finally {
        await browser?.close().catch(console.error);
        for (const one of servers) one.kill('SIGKILL');
        rmSync(directory, { recursive: true, force: true });
    }
}

await main();
