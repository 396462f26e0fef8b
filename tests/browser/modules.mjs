// Compiles programs with a real server, loads the modules in a real Chromium from a page of another origin,
// runs them, and checks what they print.
//
//     node modules.mjs SANDBOXD README     (playwright-core must be installed beside this file)

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer, stopServer } from '../support/server.mjs';
import { openBrowser } from './support.mjs';

// The example programs of emcc-sandboxd's page, as they are printed there.
const examples = [
    {
        name: 'C',
        request: {
            code: '#include <stdio.h>\nint main() { printf("Hello WebAssembly!"); return 0; }',
            type: 'c',
        },
        prints: ['Hello WebAssembly!'],
    },
    {
        name: 'C++',
        request: {
            code:
                '#include <iostream>\nint main() { std::cout << "Hello C++ WebAssembly!" << std::endl; return 0; }',
            type: 'cpp',
        },
        prints: ['Hello C++ WebAssembly!'],
        flushes: true,
    },
    {
        name: 'C with arguments',
        request: {
            code:
                '#include <stdio.h>\nint add(int a, int b) { return a + b; }\n' +
                'int main() { printf("Result: %d", add(5, 3)); return 0; }',
            type: 'c',
            args: ['-O2', '-sEXPORTED_FUNCTIONS=[_main,_add]'],
        },
        prints: ['Result: 8'],
        adds: true,
    },
];

// INVOKE_RUN=0 leaves it to the page to call main. emcc exports callMain when it is asked to, and a last line
// without a newline comes out when the runtime ends.
const toCallMain = ['-sEXPORTED_RUNTIME_METHODS=callMain', '-sEXIT_RUNTIME=1'];

async function compile(origin, request) {
    const answer = await fetch(`${origin}/compile`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(request),
    });
    const body = await answer.json();
    assert.equal(answer.status, 200, JSON.stringify(body));
    assert.equal(body.ok, true);
    assert.deepEqual(body.ignoredArgs, []);
    return body;
}

// A page on a port, and so an origin, of its own. Under /isolated it refuses what other origins do not
// explicitly share (COEP), as pages with SharedArrayBuffer do.
async function servePage(readmesPage) {
    const page = createServer((request, response) => {
        response.setHeader('Content-Type', 'text/html; charset=utf-8');
        if (request.url === '/isolated') {
            response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
            response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
        }
        if (request.url.startsWith('/readme?')) return response.end(readmesPage);
        response.end('<!doctype html><title>test</title><link rel="icon" href="data:,">');
    });
    await new Promise((resolve) => page.listen(0, '127.0.0.1', resolve));
    return { page, origin: `http://127.0.0.1:${page.address().port}` };
}

// In the page: loads a module by its URL and runs it.
async function runInPage({ url, how, locate }) {
    const script = document.createElement('script');
    script.src = url;
    await new Promise((resolve, reject) => {
        script.onload = resolve;
        script.onerror = () => reject(new Error(`${url} did not load`));
        document.head.append(script);
    });
    const printed = [];
    const complained = [];
    const module = await globalThis.Module({
        print: (line) => printed.push(line),
        printErr: (line) => complained.push(line),
        ...(locate ? { locateFile: (name) => new URL(name, url).href } : {}),
    });
    const beforeMain = printed.length;
    let returned;
    if (how === 'callMain') returned = module.callMain([]);
    else returned = module._main(0, 0);
    return {
        beforeMain,
        returned,
        printed,
        complained,
        sum: module._add ? module._add(20, 22) : null,
        isolated: globalThis.crossOriginIsolated,
    };
}

async function openPage(browser, url) {
    const page = await browser.newPage();
    const problems = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('requestfailed', (request) => problems.push(`${request.url()}: ${request.failure()?.errorText}`));
    await page.goto(url);
    return { page, problems };
}

async function checkExample(browser, server, pages, example) {
    // With callMain: what the program prints, in both kinds of pages.
    const request = { ...example.request, args: [...(example.request.args ?? []), ...toCallMain] };
    const callable = await compile(server, request);
    for (const path of ['/', '/isolated']) {
        const { page, problems } = await openPage(browser, pages + path);
        const ran = await page.evaluate(runInPage, { url: server + callable.js, how: 'callMain' });
        assert.equal(ran.beforeMain, 0, 'main must not run by itself');
        assert.deepEqual(ran.printed, example.prints);
        assert.deepEqual(ran.complained, []);
        assert.equal(ran.isolated, path === '/isolated');
        assert.deepEqual(problems, []);
        await page.close();
    }
    // Exactly as the page has it: the module loads, main can be called and returns.
    const plain = await compile(server, example.request);
    const { page, problems } = await openPage(browser, `${pages}/`);
    const ran = await page.evaluate(runInPage, { url: server + plain.js, how: 'main' });
    assert.equal(ran.beforeMain, 0);
    assert.equal(ran.returned, 0);
    if (example.flushes) assert.deepEqual(ran.printed, example.prints);
    if (example.adds) assert.equal(ran.sum, 42);
    assert.deepEqual(problems, []);
    await page.close();
    console.log(`ok: ${example.name} prints ${JSON.stringify(example.prints)}`);
}

// Files that came with the request are there for the program. The module's own script finds app.wasm beside
// itself; for app.data emcc looks beside the page, unless locateFile tells it better.
async function checkFiles(browser, server, pages) {
    const built = await compile(server, {
        files: [
            {
                path: 'main.c',
                content:
                    '#include <stdio.h>\nint main() { char line[64]; FILE *f = fopen("data/greeting.txt", "r");\n' +
                    'if (f && fgets(line, sizeof line, f)) puts(line); else puts("nothing"); return 0; }\n',
            },
            { path: 'data/greeting.txt', content: 'from a file' },
        ],
        args: ['--preload-file', 'data/greeting.txt', ...toCallMain],
    });
    const { page, problems } = await openPage(browser, `${pages}/`);
    const ran = await page.evaluate(runInPage, { url: server + built.js, how: 'callMain', locate: true });
    assert.deepEqual(ran.printed, ['from a file']);
    assert.deepEqual(problems, []);
    await page.close();
    console.log('ok: a preloaded file is read');
}

// Opened as a page, an artifact has no origin to act in.
async function checkSandbox(browser, server) {
    const built = await compile(server, examples[0].request);
    const { page } = await openPage(browser, server + built.js);
    assert.equal(await page.evaluate(() => globalThis.origin), 'null');
    await page.close();
    console.log('ok: an artifact that is opened as a page has an opaque origin');
}

// The page that lib/api/README.md prints, as it is printed there.
async function checkReadme(browser, server, pages) {
    const { page, problems } = await openPage(browser, `${pages}/readme?server=${encodeURIComponent(server)}`);
    const run = async (expected) => {
        await page.click('#run');
        await page.waitForFunction((text) => document.querySelector('#output').textContent.includes(text), expected);
        return page.textContent('#output');
    };
    assert.equal(await run('Hello'), 'What is your name?\nHello, Ada!\n');
    await page.fill('#stdin', 'Grüße\n');
    assert.equal(await run('Hello'), 'What is your name?\nHello, Grüße!\n');
    await page.fill('#code', 'int main(void) { return nowhere; }');
    assert.match(await run('undeclared'), /^main\.c:1:25: error: use of undeclared identifier 'nowhere'/);
    await page.fill('#code', 'int mian(void) { return 0; }');
    assert.match(await run('main'), /entry symbol not defined: main|undefined symbol: main/);
    await page.fill('#code', '#include <stdlib.h>\nint main(void) { abort(); }');
    assert.match(await run('RuntimeError'), /Aborted/);
    assert.deepEqual(problems, []);
    await page.close();
    console.log("ok: README's page compiles, runs, reads and tells what is wrong");
}

// What the table of traps below it says.
async function checkTraps(browser, server, pages) {
    const caught = 'int main() { try { throw 1; } catch (int) { std::puts("caught"); } return 0; }\n';
    const program = (code, args) => ({ code: `#include <cstdio>\n${code}`, type: 'cpp', args: [...args, ...toCallMain] });
    const run = async (request) => {
        const built = await compile(server, request);
        const { page } = await openPage(browser, `${pages}/`);
        const ran = await page
            .evaluate(runInPage, { url: server + built.js, how: 'callMain' })
            .catch((error) => ({ error: String(error) }));
        await page.close();
        return ran;
    };
    assert.match((await run(program(caught, []))).error, /./, 'catching is off by default');
    for (const how of ['-fexceptions', '-fwasm-exceptions'])
        assert.deepEqual((await run(program(caught, [how]))).printed, ['caught']);

    const unlinked = await fetch(`${server}/compile`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ code: 'int mian(void) { return 0; }', args: ['-sIGNORE_MISSING_MAIN=0'] }),
    });
    assert.equal(unlinked.status, 400);
    assert.match((await unlinked.json()).error, /entry symbol not defined: main|undefined symbol: main/);
    console.log('ok: exceptions are caught where that was asked for, and a missing main is told where it was');
}

// The usual way from C++ to JavaScript, with arguments and paths as people have them.
async function checkEmbind(browser, server, pages) {
    const built = await compile(server, {
        files: [
            {
                path: "größe/it's main (1).CPP",
                content:
                    '#include <emscripten/bind.h>\n#include <string>\n#include "SUM.H"\n' +
                    'struct Greeter { std::string name; std::string greet() const { return "Hello, " + name + "!"; } };\n' +
                    'int twice(int a) { return SQUARE(sum(a, a)); }\n' +
                    'EMSCRIPTEN_BINDINGS(my) { emscripten::function("twice", &twice);\n' +
                    'emscripten::class_<Greeter>("Greeter").constructor<>().property("name", &Greeter::name)' +
                    '.function("greet", &Greeter::greet); }\n',
            },
            { path: 'my headers/SUM.H', content: 'inline int sum(int a, int b) { return a + b; }\n' },
        ],
        args: ['--bind', '-I', 'my headers', "-D'SQUARE(x)=((x)*(x))'", '-O2'],
        strict: true,
    });
    const { page, problems } = await openPage(browser, `${pages}/`);
    await page.addScriptTag({ url: server + built.js });
    const ran = await page.evaluate(async () => {
        const module = await globalThis.Module();
        const greeter = new module.Greeter();
        greeter.name = 'Grüße';
        const said = greeter.greet();
        greeter.delete();
        return [module.twice(3), said];
    });
    assert.deepEqual(ran, [36, 'Hello, Grüße!']);
    assert.deepEqual(problems, []);
    await page.close();
    console.log('ok: functions and classes of C++ are called from JavaScript');
}

function readmesPage(file) {
    const found = readFileSync(file, 'utf8').match(/\n```html\n(<!doctype html>[^]*?)\n```\n/);
    assert.ok(found, `${file} has no page`);
    // What browsers ask for by themselves is none of its business.
    return found[1].replace('<title>', '<link rel="icon" href="data:,"><title>');
}

async function main() {
    const [binary, readme] = process.argv.slice(2);
    assert.ok(binary && readme, 'usage: node modules.mjs SANDBOXD README');
    const directory = mkdtempSync(join(tmpdir(), 'sandboxd-browser-'));
    let server;
    let pages;
    let browser;
    try {
        pages = await servePage(readmesPage(readme));
        server = await startServer(binary, directory, { http: { apiCorsOrigins: [pages.origin] } });
        browser = await openBrowser(directory);
        for (const example of examples) await checkExample(browser, server.origin, pages.origin, example);
        await checkFiles(browser, server.origin, pages.origin);
        await checkReadme(browser, server.origin, pages.origin);
        await checkTraps(browser, server.origin, pages.origin);
        await checkEmbind(browser, server.origin, pages.origin);
        await checkSandbox(browser, server.origin);
        assert.equal(await stopServer(server.server), 0);
    } finally {
        await browser?.close();
        pages?.page.close();
        server?.server.kill('SIGKILL');
        rmSync(directory, { recursive: true, force: true });
    }
}

await main();
