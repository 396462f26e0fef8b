// Pages in a real Chromium use the server in every way in which a page can send something without asking first: none of
// it may be done, also not under a name that was bound anew to this machine. Then the pages that may.
//
//     node pages.mjs SANDBOXD     (playwright-core must be installed beside this file)

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startServer, stopServer } from '../support/server.mjs';
import { openBrowser } from './support.mjs';

const settings = { toolchain: { emcc: '/nonexistent/emcc' }, js: { workers: 1 } };
const script = { script: '6 * 7' };

// What does something for whoever asks, and what it is asked with.
const targets = {
    '/compile': { code: 'int main(void) { return 0; }' },
    '/execute': script,
    '/api/execute': { code: '6 * 7' },
    '/sandbox': { runtime: 'node', code: '1' },
    '/faas/deploy': { runtime: 'node', code: '1' },
};

// In the page: sends `body` to `url` in each way that needs no preflight. Answers how many requests that makes.
async function sendEverything({ url, body }) {
    const text = JSON.stringify(body);
    let sent = 0;
    const post = async (content, more = {}) => {
        ++sent;
        await fetch(url, { method: 'POST', mode: 'no-cors', body: content, ...more });
    };
    const multipart = new FormData();
    for (const [name, value] of Object.entries(body)) multipart.append(name, value);
    await post(text);
    await post(new Blob([text]));  // without a Content-Type
    await post(new TextEncoder().encode(text));  // the same
    await post(new URLSearchParams(body));
    await post(multipart);
    await post(text, { credentials: 'include', referrerPolicy: 'no-referrer' });
    await post(text, { keepalive: true });
    // Whose answer the page may not read is sent all the same.
    ++sent;
    await fetch(url, { method: 'POST', body: text }).then(
        () => { throw new Error('the answer could be read'); },
        () => {});
    for (const content of [text, new Blob([text]), new URLSearchParams(body), multipart]) {
        ++sent;
        if (!navigator.sendBeacon(url, content)) throw new Error('no beacon was sent');
    }
    // A field whose name is JSON up to its end, and whose value closes it: text/plain puts a '=' between them.
    const fields = { [`${text.slice(0, -1)},"x":"`]: '"}', ...body };
    for (const enctype of ['text/plain', 'multipart/form-data', 'application/x-www-form-urlencoded']) {
        for (const sandbox of ['allow-forms', null]) {
            ++sent;
            const frame = document.createElement('iframe');
            // A name is used once: a form finds the first frame of that name, and one that is still going elsewhere
            // may drop what it is sent.
            frame.name = `${url} ${sent}`;
            if (sandbox) frame.sandbox = sandbox;
            document.body.append(frame);
            const shown = new Promise((resolve) => frame.addEventListener('load', resolve));
            const form = document.createElement('form');
            Object.assign(form, { method: 'POST', action: url, enctype, target: frame.name });
            for (const [name, value] of Object.entries(fields)) {
                const input = document.createElement('input');
                Object.assign(input, { type: 'hidden', name, value });
                form.append(input);
            }
            document.body.append(form);
            form.submit();
            await shown;
        }
    }
    return sent;
}

// In the page: what needs a preflight is not sent at all, and no answer can be read.
async function sendNothing({ url, body }) {
    const refused = async (what, where = url) => fetch(where, what).then(() => false, () => true);
    return Promise.all([
        refused({ method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }),
        refused({ method: 'PUT', body: JSON.stringify(body) }),
        refused({ method: 'DELETE' }),
        refused({ method: 'GET' }, new URL('/version', url)),
    ]);
}

// How many requests each status was the answer to, of one route.
async function answered(origin, route) {
    const text = await (await fetch(`${origin}/metrics`)).text();
    const counts = {};
    for (const [, path, status, count] of text.matchAll(
        /^sandboxd_http_requests_total\{route="([^"]+)",status="(\d+)"\} (\d+)$/gm))
        if (path === route) counts[status] = Number(count);
    return counts;
}

// Waits until so many requests of a route were answered with this status: beacons tell nobody.
async function waitForAnswers(origin, route, status, count) {
    for (let patience = 1200; patience > 0; --patience) {
        const counts = await answered(origin, route);
        const others = Object.keys(counts).filter((one) => one !== status && one !== '204' && one !== '405');
        assert.deepEqual(others, [], `${route}: ${JSON.stringify(counts)}`);
        assert.ok((counts[status] ?? 0) <= count, `${route}: ${JSON.stringify(counts)}, not ${count}`);
        if (counts[status] === count) return;
        await sleep(50);
    }
    assert.fail(`${route} was not asked ${count} times: ${JSON.stringify(await answered(origin, route))}`);
}

async function nothingThere(origin) {
    assert.equal((await (await fetch(`${origin}/sandboxes`)).json()).count, 0);
    assert.equal((await (await fetch(`${origin}/faas/deployments`)).json()).count, 0);
}

// A page of the same machine, of another site, and one without an origin of its own.
async function checkStrangers(browser, server, pagesPort) {
    const asked = {};
    for (const from of [`http://127.0.0.1:${pagesPort}/`, `http://evil.test:${pagesPort}/`,
                        `http://evil.test:${pagesPort}/opaque`]) {
        const page = await browser.newPage();
        await page.goto(from);
        if (from.endsWith('/opaque')) assert.equal(await page.evaluate(() => globalThis.origin), 'null');
        for (const [path, body] of Object.entries(targets)) {
            asked[path] = (asked[path] ?? 0) + await page.evaluate(sendEverything, { url: server + path, body });
            await waitForAnswers(server, path, '403', asked[path]);
            assert.deepEqual(await page.evaluate(sendNothing, { url: server + path, body }), [true, true, true, true]);
        }
        await page.close();
        console.log(`ok: a page of ${from} has nothing done`);
    }
    await nothingThere(server);
}

// In the page.
async function useOwnOrigin({ path, body }) {
    const answer = await fetch(path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
    });
    return { status: answer.status, origin: globalThis.origin, body: await answer.json() };
}

async function checkRebound(browser, server) {
    const port = new URL(server).port;
    const page = await browser.newPage();
    const shown = await page.goto(`http://rebound.test:${port}/version`);
    assert.equal(shown.status(), 421);
    assert.match((await shown.json()).error, /http\.allowedHosts/);
    for (const [path, body] of Object.entries(targets)) {
        const got = await page.evaluate(useOwnOrigin, { path, body });
        assert.equal(got.origin, `http://rebound.test:${port}`);
        assert.equal(got.status, 421, path);
        assert.equal(got.body.code, 'misdirected_request');
    }
    await page.close();
    await nothingThere(server);
    console.log('ok: a name that was bound anew reaches nothing');
}

// The server's own pages, by each of its names.
async function checkOwnPages(browser, server) {
    const port = new URL(server).port;
    for (const name of ['127.0.0.1', 'localhost', 'app.localhost']) {
        const page = await browser.newPage();
        await page.goto(`http://${name}:${port}/version`);
        const got = await page.evaluate(useOwnOrigin, { path: '/execute', body: script });
        assert.equal(got.status, 200, JSON.stringify(got));
        assert.equal(got.body.result, 42);
        await page.close();
    }
    console.log("ok: the server's own pages use it");
}

// In a page that is listed: it may do what programs may, and read what they read.
async function useListed({ url, body }) {
    const answer = await fetch(url, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
    });
    const wrong = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{' });
    return {
        status: answer.status,
        id: answer.headers.get('X-Request-Id'),
        wrong: wrong.status,
        code: (await wrong.json()).code,
        wrongId: wrong.headers.get('X-Request-Id'),
    };
}

async function checkListed(browser, server, origin) {
    const page = await browser.newPage();
    await page.goto(`${origin}/`);
    const got = await page.evaluate(useListed, { url: `${server}/execute`, body: script });
    assert.equal(got.status, 200);
    assert.equal(got.wrong, 400);
    assert.equal(got.code, 'invalid_request');
    for (const id of [got.id, got.wrongId]) assert.match(id, /^[0-9a-f]+-[0-9a-f]+$/);
    await page.close();
    console.log('ok: a page that is listed uses it, and reads its errors');
}

async function waitForWorkers(server) {
    while ((await fetch(`${server}/api/health`)).status !== 200) await sleep(100);
}

async function main() {
    const [binary] = process.argv.slice(2);
    assert.ok(binary, 'usage: node pages.mjs SANDBOXD');
    const directory = mkdtempSync(join(tmpdir(), 'sandboxd-pages-'));
    const pages = createServer((request, response) => {
        response.setHeader('Content-Type', 'text/html; charset=utf-8');
        if (request.url === '/opaque') response.setHeader('Content-Security-Policy', 'sandbox allow-scripts allow-forms');
        response.end('<!doctype html><title>test</title><link rel="icon" href="data:,"><body></body>');
    });
    let server;
    let browser;
    try {
        await new Promise((resolve) => pages.listen(0, '127.0.0.1', resolve));
        const port = pages.address().port;
        browser = await openBrowser(directory, ['--host-resolver-rules=MAP *.test 127.0.0.1, MAP *.localhost 127.0.0.1']);

        server = await startServer(binary, directory, settings);
        await waitForWorkers(server.origin);
        await checkStrangers(browser, server.origin, port);
        await checkRebound(browser, server.origin);
        await checkOwnPages(browser, server.origin);
        assert.equal(await stopServer(server.server), 0);

        const listed = `http://evil.test:${port}`;
        server = await startServer(binary, directory, { ...settings, http: { apiCorsOrigins: [listed] } });
        await waitForWorkers(server.origin);
        await checkListed(browser, server.origin, listed);
        assert.equal(await stopServer(server.server), 0);
    } finally {
        await browser?.close();
        pages.close();
        server?.server.kill('SIGKILL');
        rmSync(directory, { recursive: true, force: true });
    }
}

await main();
