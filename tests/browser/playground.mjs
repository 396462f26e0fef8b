// The playground in a real Chromium: every example, every button, and links of strangers that attack it.
//
//     node playground.mjs SANDBOXD [SCREENSHOTS]     (playwright-core and axe-core must be installed beside this file)
//
// SCREENSHOTS: a directory for pictures of it, for people.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual, promisify } from 'node:util';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { startServer, stopServer } from '../support/server.mjs';
import { openBrowser } from './support.mjs';

const run = promisify(execFile);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const patience = Number(process.env.PATIENCE_MS ?? 120_000);  // against a hang; nothing is measured

const fragmentOf = (workspace) => '#w=' + deflateRawSync(JSON.stringify(workspace)).toString('base64url');
const workspaceOf = (target, files, more = {}) => ({
    target, files: Object.entries(files).map(([path, content]) => ({ path, content })), compilerArgs: '', programArgs: '',
    stdin: '', display: 'auto', ...more,
});

// --- what the tests do with the page -----------------------------------------------------------------------------------

class Playground {
    constructor(page, origin) {
        this.page = page;
        this.origin = origin;
        this.problems = [];
        this.requests = [];
        page.on('pageerror', (error) => this.problems.push(String(error)));
        page.on('request', (request) => this.requests.push(request));
    }

    static async open(browser, origin, fragment = '', options = {}) {
        const page = await browser.newPage();
        if (options.viewport) await page.setViewportSize(options.viewport);
        if (options.colorScheme) await page.emulateMedia({ colorScheme: options.colorScheme });
        const it = new Playground(page, origin);
        await page.goto(origin + '/' + fragment);
        await page.waitForSelector('#tabs [role=tab]');
        return it;
    }

    async openWorkspace(workspace) {
        await this.page.goto('about:blank');
        await this.page.goto(this.origin + '/' + fragmentOf(workspace));
        await this.page.locator('#notice', { hasText: 'came with a link' }).waitFor();
    }

    // Runs what is there, and waits until it is `ends`: ok, failed, stopped, open.
    async run(ends = 'ok') {
        await this.page.click('#run');
        await this.ended(ends);
    }

    async ended(ends) {
        await this.page.locator('#state.ok, #state.failed, #state.stopped, #state.open').waitFor({ timeout: patience });
        const state = await this.page.locator('#state').getAttribute('class');
        if (state !== ends)
            assert.fail(`it is ${state}, not ${ends}: ${await this.page.textContent('#status')} | ` +
                        `${await this.page.textContent('#notice')} | ${await this.output().catch(String)}`);
    }

    frame() {
        return this.page.frames().find((frame) => frame.url().includes('/playground/frame-'));
    }

    async output() {
        const rows = await this.frame().locator('.xterm-accessibility-tree > *').allTextContents();
        return rows.map((row) => row.trimEnd()).join('\n').trimEnd();
    }

    // Keys that end what runs in the frame. It may be gone before Chromium has answered all of them: it never does then.
    async stopWith(keys) {
        this.page.keyboard.press(keys).catch(() => {});
        await this.page.locator('#state.stopped').waitFor({ timeout: patience });
        this.page.keyboard.up('Control').catch(() => {});
    }

    // Until the tabs are these, in this order: what a dialog answers takes effect in a task after it has closed.
    async hasTabs(names) {
        const tabs = this.page.locator('#tabs [role=tab]');
        for (const end = Date.now() + patience; !isDeepStrictEqual(await tabs.allTextContents(), names);)
            if (Date.now() > end) assert.deepEqual(await tabs.allTextContents(), names);
    }

    async paste(text) {
        await this.frame().locator('.xterm-helper-textarea').evaluate((area, pasted) => {
            const clipboardData = new DataTransfer();
            clipboardData.setData('text/plain', pasted);
            area.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
        }, text);
    }

    // Until the terminal shows it.
    async prints(what) {
        const tree = this.page.frameLocator('#output iframe').locator('.xterm-accessibility-tree');
        await tree.filter({ hasText: what }).waitFor({ timeout: patience }).catch(async () => {
            assert.fail(`the terminal has no ${what}: ${await this.output()}`);
        });
    }

    async close() {
        assert.deepEqual(this.problems, []);
        // Nothing of the page, its frames and workers is from elsewhere.
        for (const request of this.requests) {
            const url = request.url();
            assert.ok(/^(blob|data|about):/.test(url) || url.startsWith(this.origin) ||
                      url.startsWith(this.origin.replace(/^http/, 'ws')), `it asked for ${url}`);
        }
        await this.page.close();
    }
}

// --- every example -----------------------------------------------------------------------------------------------------

// How many colours the canvas shows.
const coloursOfCanvas = (play) => play.page.frameLocator('#output iframe').locator('canvas#canvas').evaluate((canvas) => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height);
    const context = copy.getContext('2d');
    context.drawImage(canvas, 0, 0);
    return new Set(new Uint32Array(context.getImageData(0, 0, copy.width, copy.height).data.buffer)).size;
});

async function untilColours(play, least) {
    for (const end = Date.now() + patience; Date.now() < end;)
        if (await coloursOfCanvas(play) >= least) return;
    assert.fail(`the canvas has fewer than ${least} colours`);
}

const shown = (play) => play.page.frameLocator('#deployment iframe');

const examples = {
    hello: async (play) => { await play.run(); await play.prints('Hello!'); },
    stdin: async (play) => {
        await play.run('open');
        await play.prints('What is your name?');
        await play.page.keyboard.type('Adaa');
        await play.page.keyboard.press('Backspace');
        await play.paste('é');
        await play.page.keyboard.press('Enter');
        await play.prints('Hello, Adaé! Numbers to add:');
        await play.paste('1 2.5\n4\n');
        await play.prints('sum: 7.5');
        await play.page.keyboard.press('Control+d');
        await play.prints('Goodbye.');
        await play.ended('ok');
    },
    mandelbrot: async (play) => {
        await play.run('open');
        await play.prints('307200 points in');
        await untilColours(play, 100);
    },
    simd: async (play) => { await play.run(); await play.prints(/SIMD is [\d.]+ times as fast/); },
    particles: async (play) => {
        await play.run('open');
        await play.prints('20000 particles');
        await untilColours(play, 3);
        await play.page.click('#stop');
        await play.ended('stopped');
        await play.prints(/20000 particles.*\(stopped\)/s);
    },
    embind: async (play) => { await play.run('open'); await play.prints('Ada has 69.5: 100, -30.5'); },
    layout: async (play) => { await play.run(); await play.prints('words 1.2: 3 words have the letter a'); },
    interpreter: async (play) => {
        await play.run();
        await play.prints(/slept \d{4,} ms/);
        await play.prints('"last": 541');
        assert.match(await play.page.textContent('#costs'), /fuel [\d,]+/);
    },
    fuel: async (play) => {
        await play.run('failed');
        await play.prints('Ran out of CPU time');
        assert.match(await play.page.textContent('#costs'), /fuel 440,000,000/);
    },
    typescript: async (play) => { await play.run(); await play.prints(/circle +3\.14/); },
    python: async (play) => { await play.run(); await play.prints('3 the'); },
    server: async (play) => {
        await play.run('open');
        await shown(play).locator('h1', { hasText: 'Hello from a server' }).waitFor();
        await play.prints('GET /');
        const address = await play.page.locator('#deployment a').getAttribute('href');
        // The program is replaced, its address stays.
        await play.page.locator('#editor .cm-line', { hasText: 'const greeting' }).click();
        await play.page.keyboard.press('End');
        await play.page.keyboard.press('Shift+Home');
        await play.page.keyboard.type('const greeting = "Reloaded');
        await play.page.keyboard.press('Control+Enter');
        await shown(play).locator('h1', { hasText: 'Reloaded' }).waitFor();
        assert.equal(await play.page.locator('#deployment a').getAttribute('href'), address);
        await play.page.click('#stop');
        await play.ended('stopped');
        await untilGone(play.origin + address);
    },
    express: async (play) => {
        await play.run('open');
        await shown(play).locator('h1', { hasText: 'Express is here' }).waitFor();
        await play.prints('asked for /');
    },
    websocket: async (play) => {
        await play.run('open');
        await shown(play).locator('pre', { hasText: 'echo: hello' }).waitFor();
        await shown(play).locator('input').fill('again');
        await shown(play).locator('button').click();
        await shown(play).locator('pre', { hasText: 'echo: again' }).waitFor();
        await play.prints('echoed again');
    },
};

async function checkExamples(browser, server) {
    const play = await Playground.open(browser, server);
    // The page knows then which runtimes there are.
    await play.page.locator('#version', { hasText: 'sandboxd' }).waitFor();
    const offered = await play.page.locator('#example option').evaluateAll((all) => all.map((one) => one.value).filter(Boolean));
    assert.deepEqual(offered.sort(), Object.keys(examples).sort(), 'each example has a test');
    for (const [id, check] of Object.entries(examples)) {
        if (id === 'express' && process.env.SANDBOXD_NO_REGISTRY) {
            console.log('skipped: express, SANDBOXD_NO_REGISTRY is set');
            continue;
        }
        await play.page.selectOption('#example', id);
        const missing = await play.page.locator('#target option:checked:disabled').allTextContents();
        if (missing.length > 0) {
            console.log(`skipped: example ${id}, this server has no such runtime: ${missing[0]}`);
            continue;
        }
        await check(play);
        console.log(`ok: example ${id}`);
    }
    await play.close();
}

// --- input, loops, ends ------------------------------------------------------------------------------------------------

const caughtLine = `#include <iostream>
#include <string>
int main() {
  std::string line;
  try {
    std::cout << "first? ";
    std::getline(std::cin, line);
    std::cout << "(" << line << ") second? ";
    std::getline(std::cin, line);
    std::cout << "(" << line << ")" << std::endl;
  } catch (int) {}
}
`;

async function checkInput(browser, server) {
    const play = await Playground.open(browser, server);
    // Exceptions in JavaScript: the browser cannot suspend such a program, so it runs again with each line.
    await play.openWorkspace(workspaceOf('c', { 'main.cpp': caughtLine }, { compilerArgs: '-fexceptions -O1' }));
    await play.run('open');
    await play.prints('first?');
    await play.page.keyboard.type('one\n');
    await play.prints('(one) second?');
    await play.page.keyboard.type('two\n');
    await play.prints('(two)');
    await play.ended('ok');
    assert.equal((await play.output()).match(/first\?/g).length, 1);
    // What the box has comes first, then the terminal.
    const echo = '#include <stdio.h>\n#include <stdlib.h>\nint main(int c, char **v) {\n  int ch;\n' +
        '  while ((ch = getchar()) != EOF) putchar(ch);\n  printf("%d %s\\n", c, v[c - 1]);\n  exit(3);\n}\n';
    await play.openWorkspace(workspaceOf('c', { 'main.c': echo },
                                         { stdin: 'boxed\n', programArgs: `x "two words"`, compilerArgs: '-O3' }));
    await play.run('open');
    await play.prints('boxed');
    await play.page.keyboard.type('typed\n');
    await play.page.keyboard.press('Control+d');
    await play.prints('3 two words');
    await play.ended('failed');
    assert.match(await play.page.textContent('#costs'), /exit 3/);
    // Ctrl-C. What was printed and typed stays, and nothing listens any more.
    await play.run('open');
    await play.prints('boxed');
    await play.page.keyboard.type('typed\n');
    await play.prints(/typed\s*typed/);
    await play.page.keyboard.type('half');
    await play.stopWith('Control+c');
    await play.prints(/boxed\s*typed\s*typed\s*\^C\s*\(stopped\)/);
    await play.close();
    console.log('ok: standard input, with and without a browser that suspends programs');
}

async function checkLoops(browser, server) {
    const play = await Playground.open(browser, server);
    const loops = {
        // Two lines at once: neither waits for a third.
        'a loop in a terminal': workspaceOf('c', { 'main.c': '#include <stdio.h>\nint main(void) { puts("now"); puts("turning"); volatile int i = 0; for (;;) ++i; }\n' }),
        'a loop on a page': workspaceOf('c', { 'main.c': '#include <stdio.h>\nint main(void) { puts("turning"); volatile int i = 0; for (;;) ++i; }\n' }, { display: 'page' }),
        'a loop of Python': workspaceOf('python', { 'main.py': 'print("turning", flush=True)\nwhile True: pass\n' }),
    };
    for (const [name, loop] of Object.entries(loops)) {
        await play.openWorkspace(loop);
        await play.page.click('#run');
        if (name.endsWith('page')) await play.page.locator('#state', { hasText: 'Running' }).waitFor({ timeout: patience });
        else await play.prints('turning');
        const [former] = await play.page.locator('#output iframe').elementHandles();
        await play.stopWith('Control+.');
        // What it printed stays; of a compiled program, the frame goes.
        await play.prints(/turning\s*\(stopped\)/);
        assert.equal(await former.evaluate((frame) => frame.isConnected), name.endsWith('Python'));
        assert.ok(await play.page.locator('#stop').isDisabled());
        console.log(`ok: ${name} is stopped`);
    }
    // The page is as before.
    await play.page.selectOption('#example', 'hello');
    await play.run();
    await play.prints('Hello!');
    await play.openWorkspace(workspaceOf('c', { 'main.c': '#include <stdio.h>\nint main(void) { for (;;) puts("a line of a program that never ends"); }\n' }));
    await play.run('failed');
    await play.prints('more than 4 MiB');
    console.log('ok: a loop that prints ends');

    // A page hears so many messages of a program, each letter perhaps as one; it leaves what it printed as well.
    await play.openWorkspace(workspaceOf('c', {
        'main.c': 'void nothing(void) {}\n',
        'run.js': 'const send = MessagePort.prototype.postMessage;\nlet port;\n' +
            'MessagePort.prototype.postMessage = function (...all) { port = this; return send.apply(this, all); };\n' +
            'console.log("begins");\n' +
            'const pieces = [null, 7, [], { text: 5 }, { text: "<img src=x>", stream: "x" }, { text: "|".repeat(9 << 20) }, { text: "beyond" }];\n' +
            'for (const wrong of [{ type: "printed" }, { type: "printed", pieces: 1 }, { type: "printed", pieces }]) port.postMessage(wrong);\n' +
            'for (let i = 0; i < 100000; ++i) port.postMessage({ type: "printed" });\n',
    }));
    await play.run('failed');
    assert.match(await play.page.textContent('#notice'), /too many messages/);
    await play.prints(/\|\s*\(stopped\)/);
    assert.ok(!(await play.output()).includes('beyond'));
    await play.close();
    console.log('ok: a program that floods the page is stopped');
}

// --- servers -----------------------------------------------------------------------------------------------------------

const serving = (greeting) => `require('node:http').createServer((q, r) => r.end('${greeting}')).listen(process.env.PORT);\n`;

async function untilGone(url) {
    for (const end = Date.now() + patience; (await fetch(url)).status !== 404;)
        assert.ok(Date.now() < end, 'the deployment is still there');
}

async function checkServers(browser, server) {
    const play = await Playground.open(browser, server);
    const { page } = play;
    const edit = async (text) => {
        await page.locator('#editor .cm-content').fill(text);
        await page.click('#run');
    };
    await play.openWorkspace(workspaceOf('node-server', { 'index.js': serving('first') }));
    await play.run('open');
    const url = server + await page.locator('#deployment a').getAttribute('href');
    // An update that does not start leaves the former program, which can be stopped.
    await edit('console.error("it is broken"); process.exit(3);\n');
    await page.locator('#state.failed', { hasText: 'the former program serves on' }).waitFor();
    assert.notEqual(await page.textContent('#notice'), '');
    await play.prints('it is broken');
    assert.ok(await page.locator('#stop').isEnabled());
    assert.equal(await (await fetch(url)).text(), 'first');
    // One that starts takes its place.
    await edit(serving('second'));
    await page.locator('#state.open', { hasText: 'Serving' }).waitFor();
    assert.equal(await (await fetch(url)).text(), 'second');
    assert.ok(await page.locator('#notice').isHidden());
    // Also while the server cannot be reached, as far as the page knows.
    await page.route('**/files', (route) => route.abort());
    await page.click('#run');
    await page.locator('#state.failed').waitFor();
    await page.unroute('**/files');
    assert.ok(await page.locator('#stop').isEnabled());
    await page.click('#stop');
    await play.ended('stopped');
    assert.ok(await page.locator('#stop').isDisabled());
    assert.ok(await page.locator('#deployment').isHidden());
    await untilGone(url);
    console.log('ok: a failed update leaves a server that can be stopped');

    // While packages are installed, the page says so, and for how long.
    let release;
    const held = new Promise((resolve) => { release = resolve; });
    await page.route('**/faas/deploy', async (route) => {
        await held;
        await route.fulfill({ status: 422, json: { ok: false, error: 'no such version', code: 'install_failed' } });
    });
    await play.openWorkspace(workspaceOf('node-server', {
        'index.js': serving('never'), 'package.json': '{"dependencies": {"express": "^4.18.2", "@scope/other": "1.0.0"}}' }));
    await page.click('#run');
    await play.prints('installs express@^4.18.2, @scope/other@1.0.0');
    await page.locator('#state.busy', { hasText: /Installing packages, then starting, [1-9]\d* s/ }).waitFor();
    release();
    await play.ended('failed');
    assert.match(await page.textContent('#notice'), /no such version/);
    assert.ok(await page.locator('#stop').isDisabled());
    await page.unroute('**/faas/deploy');
    await play.close();
    console.log('ok: an install of packages shows how far it is');
}

// --- keys, and what the server lacks -----------------------------------------------------------------------------------

const keys = { compiler: 'compiler-0123456789', all: 'all.0123456789~+/==' };
const keysFile = () => JSON.stringify({
    keys: [['compiler', ['compile']], ['all', ['compile', 'execute', 'sandbox', 'deploy']]].map(([name, scopes]) => ({
        name, scopes, sha256: createHash('sha256').update(keys[name]).digest('hex') })) });

async function checkKeys(browser, server) {
    const play = await Playground.open(browser, server);
    const { page } = play;
    const note = (text) => page.locator('#key-note', { hasText: text }).waitFor();
    const give = async (key) => {
        await page.fill('#key', key);
        await page.keyboard.press('Enter');
    };
    await note('This server wants a key');
    await play.run('failed');
    assert.match(await page.textContent('#notice'), /needs a key/);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'key');
    assert.equal(await page.getAttribute('#key', 'type'), 'password');
    await give('what is none');
    await note('A key is letters');
    await give('unknown');
    await note('this key is unknown');

    // One that may compile, and nothing else.
    await give(keys.compiler);
    await note('has a key');
    assert.equal(await page.inputValue('#key'), '');
    assert.ok(await page.locator('#notice').isHidden());
    await play.run();
    await play.prints('Hello!');
    await page.selectOption('#example', 'interpreter');
    await play.run('failed');
    assert.match(await page.textContent('#notice'), /may not do that: .*scope 'execute'/);

    // What is typed into the field is no program's, however it wants the focus: it ends before. What it printed stays.
    await play.openWorkspace(workspaceOf('c', { 'main.c': 'void nothing(void) {}\n',
                                                'run.js': 'canvas.focus(); setInterval(() => canvas.focus(), 1); console.log("takes the focus");\n' }));
    await note('wants a key');
    await give(keys.compiler);
    await note('has a key');
    assert.ok(await page.locator('#key').isHidden());
    await play.run('open');
    await play.prints('takes the focus');
    await page.click('#key-other');
    await play.ended('stopped');
    await page.keyboard.type(keys.all, { delay: 5 });
    assert.equal(await page.inputValue('#key'), keys.all);
    await page.keyboard.press('Enter');
    await note('has a key');
    await play.prints(/takes the focus\s*\(stopped\)/);

    await page.selectOption('#example', 'interpreter');
    await play.run();
    await play.openWorkspace(workspaceOf('node-server', { 'index.js': serving('with a key') }));
    await give(keys.all);
    await note('has a key');
    await play.run('open');
    const url = server + await page.locator('#deployment a').getAttribute('href');
    assert.equal(await (await fetch(url)).text(), 'with a key');
    await page.click('#stop');
    await untilGone(url);

    // Snippets have a place for it. It is in none of them, in no link, in no storage, and a reload forgets it.
    await page.selectOption('#example', 'interpreter');
    const textOf = async (button) => {
        await page.click(button);
        const text = await page.inputValue('#dialog-code');
        await page.click('#dialog-cancel');
        return text;
    };
    const [curl, fetched] = [await textOf('#curl'), await textOf('#fetch')];
    assert.ok(curl.includes('"Authorization: Bearer $SANDBOXD_KEY"') && fetched.includes('"Bearer YOUR_KEY"'));
    const ran = await run('sh', ['-ec', curl], { env: { ...process.env, SANDBOXD_KEY: keys.all } });
    assert.equal(JSON.parse(ran.stdout).status, 'OK');
    const script = fetched.replace('YOUR_KEY', keys.all);
    assert.match((await run('node', ['--input-type=module', '--eval', script])).stdout, /status: 'OK'/);
    const link = await linkOf(play);
    await page.click('#dialog-cancel');
    const shared = inflateRawSync(Buffer.from(link.split('#w=')[1], 'base64url')).toString();
    const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
    const markup = await page.content();
    for (const one of Object.values(keys))
        for (const text of [curl, fetched, link, shared, stored, markup]) assert.ok(!text.includes(one));
    for (const request of play.requests) {
        const sent = await request.headerValue('authorization');
        assert.ok(sent === null || new URL(request.url()).pathname.match(/^\/(compile|execute|sandbox|faas|runtimes|version|artifacts)/), request.url());
        assert.ok(!Object.values(keys).some((one) => request.url().includes(one) || (request.postData() ?? '').includes(one)));
    }
    await page.click('#key-forget');
    await note('forgotten');
    await play.run('failed');
    await give(keys.all);
    await note('has a key');
    await page.reload();
    await note('This server wants a key');

    // This server has no Bun: its example says so, is not run, and how Bun comes there.
    await give(keys.all);
    const option = page.locator('#example option[value=websocket]', { hasText: '(not installed)' });
    await option.waitFor({ state: 'attached' });
    await page.selectOption('#example', 'websocket');
    assert.match(await page.textContent('#missing'), /^Bun server is not available on this server\. For its operator: .*runtimes\.bun/);
    assert.ok(await page.locator('#run').isDisabled());
    const before = play.requests.length;
    await page.locator('#editor .cm-content').focus();
    await page.keyboard.press('Control+Enter');
    assert.equal(await page.textContent('#state'), 'Ready');
    assert.equal(play.requests.length, before);
    await page.selectOption('#example', 'hello');
    assert.ok(await page.locator('#missing').isHidden());
    await play.run();
    await play.close();
    console.log('ok: a key is asked for, used, and kept nowhere; what is not installed is not run');
}

// --- problems ----------------------------------------------------------------------------------------------------------

async function checkProblems(browser, server) {
    const play = await Playground.open(browser, server);
    const marked = async () => (await play.page.locator('#editor .cm-lintRange-error').allTextContents()).join('|');
    await play.openWorkspace(workspaceOf('c', {
        'main.c': '#include "part.h"\n\nint main(void) {\n  const char *s = "é🙂"; return undeclared + twice("🙂");\n}\n',
        'part.h': 'int twice(int a);\n',
    }));
    await play.run('failed');
    assert.equal(await marked(), 'undeclared');
    assert.equal(await play.page.locator('#tabs [role=tab]').first().getAttribute('aria-label').then((label) => /main\.c, \d+ error/.test(label)), true);
    const rows = await play.page.locator('#problems button').allTextContents();
    assert.ok(rows.some((row) => /^main\.c:4:33: error: use of undeclared identifier/.test(row)), rows.join('\n'));
    // The terminal counts as the list does.
    await play.prints('main.c:4:33: error: use of undeclared identifier');
    await play.prints(/main\.c:4:52: (error|warning): /);
    for (const row of rows.filter((one) => one.startsWith('main.c:')))
        await play.prints(row.match(/^main\.c:\d+:\d+: /)[0]);
    // A note leads to its own file.
    const note = play.page.locator('#problems button', { hasText: /^part\.h:1/ });
    await note.first().click();
    assert.equal(await play.page.locator('#tabs [aria-selected=true]').textContent(), 'part.h');
    await play.page.locator('#problems button', { hasText: 'undeclared' }).first().click();
    assert.equal(await play.page.locator('#tabs [aria-selected=true]').textContent(), 'main.c');
    const warned = 'int main(void) {\n  const char *s = "é🙂"; int unused;\n  return !s;\n}\n';
    await play.openWorkspace(workspaceOf('c', { 'main.c': warned }, { compilerArgs: '-Wall' }));
    await play.run();
    await play.prints('main.c:2:30: warning: unused variable');
    await play.openWorkspace(workspaceOf('javascript', { 'main.js': 'const a = "é🙂"; let b = = 1;\n' }));
    await play.run('failed');
    assert.equal(await marked(), '=');
    await play.openWorkspace(workspaceOf('python', { 'main.py': 'def f():\n    return undefined_name\n\nf()\n' }));
    await play.run('failed');
    assert.equal(await marked(), 'return undefined_name');
    await play.openWorkspace(workspaceOf('node', { 'index.js': 'console.log(1);\n  missing();\n' }));
    await play.run('failed');
    assert.equal(await marked(), 'missing');
    await play.close();
    console.log('ok: problems are shown where they are');
}

// --- share, zip, curl, fetch -------------------------------------------------------------------------------------------

// The link is made while the page goes on.
async function linkOf(play) {
    await play.page.click('#share');
    await play.page.locator('#dialog-code').waitFor();
    return play.page.inputValue('#dialog-code');
}

async function checkSharing(browser, server) {
    // 40 KB that deflate cannot make small, of every kind of character.
    let seed = 1;
    const random = () => (seed = (seed * 48271) % 2147483647);
    let text = '// é🙂 </script><!-- \\ \0'.replace('\0', '\u2028');
    while (new TextEncoder().encode(text).length < 40 * 1024) text += random().toString(36) + (random() % 8 === 0 ? '\n' : ' ');
    const play = await Playground.open(browser, server);
    await play.page.selectOption('#example', 'layout');
    await play.page.click('#add');
    await play.page.fill('#dialog-input', '../up.c');
    await play.page.click('#dialog-ok');
    assert.match(await play.page.textContent('#dialog-error'), /relative/);
    await play.page.fill('#dialog-input', 'größe/text.c');
    await play.page.click('#dialog-ok');
    const paths = ['src/main.c', 'data/words.txt', 'include/words.h', 'src/words.c', 'größe/text.c'];
    await play.hasTabs(paths);
    await play.page.locator('#editor .cm-content').fill(text);
    const url = await linkOf(play);
    assert.ok(url.length > 30_000 && url.startsWith(`${server}/#w=`));
    await play.page.click('#dialog-cancel');
    const before = play.requests.length;
    const other = await Playground.open(browser, server, url.slice(server.length + 1));
    await other.page.locator('#notice', { hasText: 'came with a link' }).waitFor();
    await other.hasTabs(paths);
    assert.equal(await other.page.inputValue('#program-args'), 'a');
    // Shared again it is the same, to the byte.
    assert.equal(await linkOf(other), url);
    const files = JSON.parse(inflateRawSync(Buffer.from(url.split('#w=')[1], 'base64url'))).files;
    assert.equal(files.find((file) => file.path === 'größe/text.c').content, text);
    // It waits for Run, and nothing of it was sent.
    for (const request of [...play.requests.slice(before), ...other.requests]) {
        assert.equal(request.method(), 'GET');
        assert.ok(!request.url().includes('w='), request.url());
    }
    await other.close();
    for (const damaged of [url.slice(server.length + 1, -100), '#w=', '#w=%%%', fragmentOf({ target: 'c', files: [] }),
                           fragmentOf(workspaceOf('c', { '../x.c': '' })),
                           '#w=' + deflateRawSync(Buffer.alloc(64 * 1024 * 1024, '[')).toString('base64url')]) {
        const third = await Playground.open(browser, server, damaged);
        await third.page.locator('#notice', { hasText: 'damaged' }).waitFor();
        await third.hasTabs(['main.c']);
        await third.close();
    }
    // The zip has all files.
    const [download] = await Promise.all([play.page.waitForEvent('download'), play.page.click('#zip')]);
    const zip = readFileSync(await download.path());
    const unpacked = {};
    for (let at = 0; zip.readUInt32LE(at) === 0x04034b50;) {
        const [packed, size, name] = [zip.readUInt32LE(at + 18), zip.readUInt32LE(at + 22), zip.readUInt16LE(at + 26)];
        const content = inflateRawSync(zip.subarray(at + 30 + name, at + 30 + name + packed));
        assert.equal(content.length, size);
        unpacked[zip.toString('utf8', at + 30, at + 30 + name)] = content.toString();
        at += 30 + name + packed;
    }
    assert.deepEqual(unpacked, Object.fromEntries(files.map((file) => [file.path, file.content])));
    await play.close();
    console.log('ok: a workspace of 40 KB goes through a link and a zip');
}

async function checkDropping(browser, server) {
    const directory = mkdtempSync(join(tmpdir(), 'sandboxd-dropped-'));
    const folder = join(directory, 'project');
    mkdirSync(join(folder, 'src'), { recursive: true });
    mkdirSync(join(folder, 'node_modules'));
    writeFileSync(join(folder, 'main.c'), '#include "src/part.h"\nint main(void) { return part; }\n');
    writeFileSync(join(folder, 'src/part.h'), 'enum { part = 0 };\n');
    writeFileSync(join(folder, 'picture.png'), Buffer.from([0x89, 0x50, 0xff, 0xfe]));
    writeFileSync(join(folder, 'node_modules/left.js'), '');
    writeFileSync(join(folder, '.hidden'), '');
    const play = await Playground.open(browser, server);
    const mouse = await browser.newCDPSession(play.page);
    const { x, y, width, height } = await play.page.locator('#editor').boundingBox();
    for (const type of ['dragEnter', 'dragOver', 'drop']) {
        await mouse.send('Input.dispatchDragEvent', {
            type, x: x + width / 2, y: y + height / 2, data: { items: [], files: [folder], dragOperationsMask: 1 } });
    }
    await play.page.locator('#notice', { hasText: 'picture.png' }).waitFor();
    assert.deepEqual((await play.page.locator('#tabs [role=tab]').allTextContents()).sort(), ['main.c', 'src/part.h']);
    await play.page.locator('#tabs [role=tab]', { hasText: 'main.c' }).click();
    await play.page.locator('#editor .cm-content', { hasText: 'return part' }).waitFor();
    await play.close();
    rmSync(directory, { recursive: true });
    console.log('ok: a folder is dropped in');
}

async function checkSnippets(browser, server) {
    const directory = mkdtempSync(join(tmpdir(), 'sandboxd-snippets-'));
    const play = await Playground.open(browser, server);
    const textOf = async (button) => {
        await play.page.click(button);
        const text = await play.page.inputValue('#dialog-code');
        await play.page.click('#dialog-cancel');
        return text;
    };
    const both = async (check) => {
        check((await run('sh', ['-ec', await textOf('#curl')])).stdout);
        const script = join(directory, 'snippet.mjs');
        writeFileSync(script, await textOf('#fetch'));
        check((await run('node', [script])).stdout);
    };
    await play.openWorkspace(workspaceOf('javascript', { 'main.js': `"it's $HOME \`\\\\" + 'ü'` }));
    await both((said) => assert.ok(said.includes("it's $HOME `") && said.includes('ü'), said));
    await play.openWorkspace(workspaceOf('python', { 'main.py': 'print("say " + input())\n' }, { stdin: "it's\n" }));
    await both((said) => assert.ok(said.includes("say it's"), said));
    await play.page.selectOption('#example', 'layout');
    await both((said) => assert.match(said, /"?ok"?: ?true/));
    // In a page of another origin, as the page tells to embed it.
    await play.run();
    await play.page.click('#embed summary');
    const embedded = await play.page.textContent('#embed-code');
    assert.ok(embedded.trim().split('\n').length <= 3, embedded);
    const elsewhere = createServer((_, response) => {
        response.setHeader('Content-Type', 'text/html; charset=utf-8');
        response.end(`<!doctype html><link rel="icon" href="data:,">${embedded.replace('callMain?.()', 'callMain(["a"])')}`);
    });
    await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
    const page = await browser.newPage();
    try {
        const said = page.waitForEvent('console', {
            predicate: (message) => message.text().includes('3 words have the letter a'), timeout: patience });
        await page.goto(`http://127.0.0.1:${elsewhere.address().port}/`);
        await said;
    } finally {
        await page.close();
        elsewhere.close();
        elsewhere.closeAllConnections();
    }
    await play.close();
    rmSync(directory, { recursive: true });
    console.log('ok: the requests as curl and as fetch do what Run does');
}

// --- strangers ---------------------------------------------------------------------------------------------------------

// In a program: everything that a page's own script could do. `console` prints what worked.
const attack = (elsewhere, ownScript, ownStyle) => `
const tried = {
  origin: () => { if (self.origin !== "null") throw 0; throw 1; },
  parentDocument: () => parent.document.title,
  topDocument: () => top.document.title,
  parentLocation: () => { parent.location = "${elsewhere}/parent"; },
  topLocation: () => { top.location.href = "${elsewhere}/top"; },
  topReplace: () => { top.location.replace("javascript:document.title='taken'"); throw 0; },
  storage: () => localStorage.length,
  session: () => sessionStorage.length,
  cookie: () => document.cookie,
  setCookie: () => { document.cookie = "a=b"; },
  database: () => new Promise((y, n) => { const r = indexedDB.open("x"); r.onsuccess = y; r.onerror = n; }),
  caches: () => caches.keys(),
  worker: () => navigator.serviceWorker.register("/playground/x.js"),
  opened: () => { if (!window.open("${elsewhere}/opened")) throw 0; },
  ownScript: () => new Promise((y, n) => { const s = document.createElement("script"); s.onload = y; s.onerror = n; s.src = "${ownScript}"; document.head.append(s); }),
  ownStyle: () => new Promise((y, n) => { const l = document.createElement("link"); l.rel = "stylesheet"; l.onload = y; l.onerror = n; l.href = "${ownStyle}"; document.head.append(l); }),
  ownImport: () => import("${ownScript}"),
  peer: () => new RTCPeerConnection({ iceServers: [{ urls: "stun:127.0.0.1:3478" }] }),
  fetched: () => fetch("/runtimes"),
  fetchedElsewhere: () => fetch("${elsewhere}/fetch", { mode: "no-cors" }),
  image: () => new Promise((y, n) => { const i = new Image(); i.onload = y; i.onerror = n; i.src = "${elsewhere}/image"; }),
  script: () => new Promise((y, n) => { const s = document.createElement("script"); s.onload = y; s.onerror = n; s.src = "${elsewhere}/script"; document.head.append(s); }),
  socket: () => new Promise((y, n) => { const s = new WebSocket("${elsewhere.replace('http', 'ws')}/socket"); s.onopen = y; s.onerror = n; }),
  beacon: () => new Promise((y, n) => { navigator.sendBeacon("${elsewhere}/beacon"); setTimeout(n, 300); }),
  form: () => new Promise((y, n) => { const f = document.createElement("form"); f.action = "${elsewhere}/form"; f.target = "_top"; document.body.append(f); f.submit(); setTimeout(n, 300); }),
  frame: () => new Promise((y, n) => { const f = document.createElement("iframe"); f.src = "${elsewhere}/frame"; document.body.append(f); setTimeout(n, 300); }),
  dialog: () => { alert("alert"); confirm("confirm"); prompt("prompt"); throw 0; },
};
const worked = [];
for (const [name, f] of Object.entries(tried)) {
  try { await f(); worked.push(name); } catch {}
}
parent.postMessage({ type: "ready" }, "*");
parent.postMessage({ type: "ended", code: "<img src=x onerror=alert(1)>" }, "*");
console.log("worked: [" + worked.join(" ") + "]");
location.href = "${elsewhere}/navigated";
`;

async function checkHostile(browser, server) {
    // What hears everything that gets out.
    const heard = [];
    const listener = createServer((request, response) => {
        heard.push(request.url);
        response.end();
    });
    await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const elsewhere = `http://127.0.0.1:${listener.address().port}`;
    try {
        const play = await Playground.open(browser, server);
        // The page's own files stand for every address of this server, as programs that it hosts have.
        const ownScript = await play.page.locator('script[src]').evaluate((script) => script.src);
        const ownStyle = await play.page.locator('link[rel=stylesheet]').evaluate((style) => style.href);
        const dialogs = [];
        play.page.on('dialog', (dialog) => {
            dialogs.push(dialog.message());
            return dialog.dismiss();
        });
        const popups = [];
        play.page.on('popup', (popup) => popups.push(popup.url()));
        // Names and texts that are markup; such names the server refuses.
        await play.openWorkspace(workspaceOf('c', {
            '<img src=x onerror=alert(1)>.c': '/* <script>alert(2)</script> */\n',
        }, { compilerArgs: '<script>alert(5)</script>', programArgs: '"><script>alert(3)</script>', stdin: '</textarea><script>alert(4)</script>' }));
        await play.run('failed');
        assert.equal(await play.page.locator('img, script:not([src])').count(), 0);
        await play.openWorkspace(workspaceOf('c', { 'main.c': 'void nothing(void) {}\n', 'run.js': attack(elsewhere, ownScript, ownStyle) }));
        // The last thing that it tries is to send its frame elsewhere: the page's policy refuses that, and says so.
        const refused = play.page.waitForEvent('console', {
            predicate: (message) => message.type() === 'error' && message.text().includes('frame-src'), timeout: patience });
        await play.page.click('#run');
        await refused;
        assert.equal(play.page.url().split('#')[0], `${server}/`);
        assert.equal(await play.page.title(), 'sandboxd playground');
        assert.deepEqual(dialogs, []);
        assert.deepEqual(popups, []);
        assert.deepEqual(heard, []);
        assert.equal(await play.page.evaluate(() => document.cookie + JSON.stringify({ ...localStorage })), '{}');
        assert.deepEqual(await play.page.evaluate(async () => (await navigator.serviceWorker?.getRegistrations() ?? []).length), 0);
        assert.equal(await play.page.locator('#status img').count(), 0);

        // And what it could do, read while its frame is there: nothing.
        await play.openWorkspace(workspaceOf('c', { 'main.c': 'void nothing(void) {}\n',
                                                    'run.js': attack(elsewhere, ownScript, ownStyle).replace(/location\.href = "[^"]*navigated";/, '') }));
        await play.run('open');
        await play.prints('worked: []');
        assert.deepEqual(heard, []);
        assert.deepEqual(dialogs, []);

        // In a worker, by a program of C.
        await play.openWorkspace(workspaceOf('c', {
            'main.c': `#include <emscripten.h>
#include <stdio.h>
int main(void) {
  puts(emscripten_run_script_string(
    "(() => { const worked = []; const t = (n, f) => { try { f(); worked.push(n); } catch {} };"
    "t('xhr', () => { const x = new XMLHttpRequest(); x.open('GET', '${server}/runtimes', false); x.send(); });"
    "t('elsewhere', () => { const x = new XMLHttpRequest(); x.open('GET', '${elsewhere}/xhr', false); x.send(); });"
    "t('import', () => importScripts('${elsewhere}/import'));"
    "t('own', () => importScripts('${ownScript}'));"
    "t('origin', () => { if (self.origin === 'null') throw 0; });"
    "return 'worked: [' + worked + ']'; })()"));
}
`,
        }, { display: 'terminal' }));
        await play.run();
        await play.prints('worked: []');
        assert.deepEqual(heard, []);

        // As a server, whose page is shown beside its log.
        await play.openWorkspace(workspaceOf('node-server', { 'index.js': `
require('node:http').createServer((request, response) => {
  response.setHeader('Content-Type', 'text/html; charset=utf-8');
  response.end('<!doctype html><link rel="icon" href="data:,"><p></p><script>' +
    'const worked = []; const t = (n, f) => { try { f(); worked.push(n); } catch {} };' +
    't("parent", () => parent.document.title); t("top", () => { top.location = "${elsewhere}/top"; });' +
    't("storage", () => localStorage.length); t("cookie", () => document.cookie);' +
    't("opened", () => { if (!open("${elsewhere}/opened")) throw 0; });' +
    't("dialog", () => { alert("alert"); throw 0; });' +
    't("origin", () => { if (origin === "null") throw 0; });' +
    'document.querySelector("p").textContent = "worked: [" + worked + "]";</script>');
}).listen(process.env.PORT);
` }));
        await play.run('open');
        await shown(play).locator('p', { hasText: 'worked: []' }).waitFor({ timeout: patience });
        assert.equal(play.page.url().split('#')[0], `${server}/`);
        assert.deepEqual([dialogs, popups, heard], [[], [], []]);
        await play.page.click('#stop');
        await play.ended('stopped');
        await play.page.close();
    } finally {
        listener.close();
        listener.closeAllConnections();
    }
    console.log('ok: a hostile link reaches nothing');
}

// --- for everybody -----------------------------------------------------------------------------------------------------

async function violations(target) {
    const found = await target.evaluate(async () => {
        const result = await globalThis.axe.run({ iframes: false, resultTypes: ['violations'] });
        return result.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html).join(' , ').slice(0, 600)}`);
    });
    return found;
}

async function checkAccess(browser, server, pictures) {
    await browser.addInitScript({ content: axe });
    const take = async (page, name) => {
        if (!pictures) return;
        mkdirSync(pictures, { recursive: true });
        await page.screenshot({ path: join(pictures, `${name}.png`) });
    };
    const wrong = workspaceOf('c', { 'main.c': 'int main(void) { return undeclared; }\n', 'part.h': '' });
    const sizes = { desktop: { width: 1280, height: 800 }, phone: { width: 375, height: 740 }, small: { width: 320, height: 640 } };
    for (const [size, viewport] of Object.entries(sizes)) {
        for (const colorScheme of ['light', 'dark']) {
            const play = await Playground.open(browser, server, '', { viewport, colorScheme });
            const { page } = play;
            const clean = async (what, target = page) => {
                assert.deepEqual(await violations(target), [], `${size}, ${colorScheme}, ${what}`);
                await take(page, `${size}-${colorScheme}-${what}`);
            };
            await clean('start');
            await play.run();
            await play.prints('Hello!');
            await clean('hello');
            await clean('terminal', play.frame());
            await play.openWorkspace(wrong);
            await play.run('failed');
            await clean('problems');
            // The dialogs are alike on a phone.
            if (size === 'desktop' || pictures) {
                await page.click('#add');
                await clean('name');
                await page.keyboard.press('Escape');
                await page.click('#curl');
                await clean('curl');
                await page.keyboard.press('Escape');
            }
            // Whatever is chosen, no control is cut off.
            for (const example of Object.keys(examples)) {
                await page.selectOption('#example', example);
                // Tabs of files are scrolled.
                const cut = await page.evaluate(() => [...document.querySelectorAll('select, input, textarea, button')]
                    .filter((one) => one.checkVisibility() && !one.closest('#tabs'))
                    .filter((one) => one.getBoundingClientRect().right > innerWidth || one.getBoundingClientRect().left < 0)
                    .map((one) => one.id));
                assert.deepEqual(cut, [], `${size}, ${example}: cut off`);
                const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
                assert.ok(sideways <= 0, `${size}, ${example}: it scrolls sideways by ${sideways}`);
            }
            await take(page, `${size}-${colorScheme}-end`);
            if (pictures) {
                await page.selectOption('#example', 'mandelbrot');
                await play.run('open');
                await untilColours(play, 100);
                await take(page, `${size}-${colorScheme}-mandelbrot`);
            }
            await play.close();
        }
    }
    console.log('ok: axe finds nothing, on a desktop and a phone, in light and dark');

    // With keys alone: choose an example, look at its files, edit, leave the editor, run, stop.
    const play = await Playground.open(browser, server);
    const { page } = play;
    const focused = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.role);
    const reached = [];
    for (let i = 0; i < 30 && reached.at(-1) !== 'stdin'; ++i) {
        await page.keyboard.press('Tab');
        reached.push(await focused());
        // The editor takes Tab; Escape lets the next one go.
        if (reached.at(-1) === 'editor') await page.keyboard.press('Escape');
    }
    assert.deepEqual(reached, ['target', 'example', 'run', 'share', 'zip', 'curl', 'fetch', 'tab', 'add', 'rename', 'editor',
                               'compiler-args', 'program-args', 'display', 'stdin']);
    await page.selectOption('#example', 'embind');
    await page.locator('#tabs [aria-selected=true]').focus();
    await page.keyboard.press('ArrowRight');
    assert.equal(await page.locator('#tabs [aria-selected=true]').textContent(), 'run.js');
    await page.keyboard.press('F2');
    await page.keyboard.type('other.js');
    await page.keyboard.press('Enter');
    await play.hasTabs(['account.cpp', 'other.js']);
    await page.locator('#tabs [aria-selected=true]').focus();
    await page.keyboard.press('Delete');
    await page.locator('#dialog-ok').waitFor();
    await page.keyboard.press('Enter');
    await play.hasTabs(['account.cpp']);
    await page.selectOption('#example', 'hello');
    await page.keyboard.press('Control+Enter');
    await play.ended('ok');
    // What was typed is there after a reload.
    await page.locator('#editor .cm-content').fill('int main(void) { return 7; } // kept');
    // Not waitForFunction(), which is eval: the page's policy refuses it.
    const isKept = () => page.evaluate(() => (sessionStorage.getItem('sandboxd-playground') ?? '').includes('// kept'));
    for (const end = Date.now() + patience; !await isKept();) assert.ok(Date.now() < end, 'it is not kept');
    await page.reload();
    await page.locator('#editor .cm-content', { hasText: '// kept' }).waitFor();
    await play.close();
    console.log('ok: keys are enough');
}

// --- as it is served ---------------------------------------------------------------------------------------------------

async function checkServing(browser, server, disabled) {
    const page = await fetch(`${server}/`, { headers: { 'Accept-Encoding': 'identity' } });
    assert.equal(page.status, 200);
    assert.equal(page.headers.get('content-type'), 'text/html; charset=utf-8');
    assert.match(page.headers.get('content-security-policy'), /default-src 'none'; script-src 'self'; style-src 'self';/);
    assert.equal(page.headers.get('cache-control'), 'no-cache');
    const html = await page.text();
    const etag = page.headers.get('etag');
    assert.equal((await fetch(`${server}/`, { headers: { 'If-None-Match': etag, 'Accept-Encoding': 'identity' } })).status, 304);
    assert.equal((await fetch(`${server}/`, { method: 'HEAD' })).headers.get('content-security-policy'),
                 page.headers.get('content-security-policy'));
    assert.equal((await fetch(`${server}/`, { method: 'POST' })).status, 405);
    for (const name of html.match(/\/playground\/[^"]+/g)) {
        for (const [asked, got] of [['br', 'br'], ['gzip', 'gzip'], ['identity', null]]) {
            const asset = await fetch(server + name, { headers: { 'Accept-Encoding': asked } });
            assert.equal(asset.status, 200, name);
            assert.equal(asset.headers.get('content-encoding'), got);
            assert.match(asset.headers.get('cache-control'), /immutable/);
            assert.ok((await asset.arrayBuffer()).byteLength > 100);
        }
    }
    assert.equal((await fetch(`${server}/playground/index.html`)).status, 404);
    assert.equal((await fetch(`${server}/playground/nothing.js`)).status, 404);

    // The first paint, over the wire: with gzip, which is all that browsers take of a server without TLS elsewhere.
    let packed = 0;
    for (const name of ['/', ...html.match(/(?<=(?:src|href)=")\/playground\/[^"]+/g)])
        packed += Number((await fetch(server + name, { headers: { 'Accept-Encoding': 'gzip' } })).headers.get('content-length'));
    assert.ok(packed > 100_000 && packed < 300_000, `the first paint takes ${packed} bytes with gzip`);
    const play = await Playground.open(browser, server);
    await play.page.locator('#version', { hasText: 'sandboxd' }).waitFor();
    let bytes = 0;
    for (const request of play.requests) {
        const sizes = await request.sizes();
        bytes += sizes.responseBodySize + sizes.responseHeadersSize;
    }
    assert.ok(bytes > 50_000 && bytes < 300_000, `the first paint takes ${bytes} bytes`);
    console.log(`ok: the first paint takes ${bytes} bytes in ${play.requests.length} requests`);
    await play.close();

    // Without it, everything is as if it never was.
    for (const path of ['/', '/playground/index.html', html.match(/\/playground\/[^"]+/)[0]]) {
        for (const method of ['GET', 'POST', 'OPTIONS']) {
            const answer = await fetch(disabled + path, { method });
            assert.equal(answer.status, 404);
            assert.deepEqual(await answer.json(), { ok: false, error: `there is nothing at ${path}`, code: 'not_found' });
            assert.equal(answer.headers.get('content-security-policy'), null);
        }
    }
    console.log('ok: playground.enabled = false leaves nothing of it');
}

// Some of what Playwright does has no time limit of its own.
const within = (work, what) => Promise.race([work, new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`it hangs: ${what}`)), 5 * patience).unref();
})]);

async function main() {
    const [binary, pictures] = process.argv.slice(2);
    assert.ok(binary, 'usage: node playground.mjs SANDBOXD [SCREENSHOTS]');
    const directory = mkdtempSync(join(tmpdir(), 'sandboxd-playground-'));
    const only = process.env.PLAYGROUND_ONLY;
    let server;
    let without;
    let locked;
    let browser;
    try {
        server = await startServer(binary, directory, {});
        const second = join(directory, 'without');
        mkdirSync(second);
        without = await startServer(binary, second, { toolchain: { emcc: '/nonexistent/emcc' }, js: { enabled: false },
                                                      playground: { enabled: false } });
        const third = join(directory, 'locked');
        mkdirSync(third);
        writeFileSync(join(third, 'keys.json'), keysFile(), { mode: 0o600 });
        locked = await startServer(binary, third, { auth: { keysFile: join(third, 'keys.json') },
                                                    runtimes: { bun: '/nonexistent/bun' } });
        browser = await openBrowser(directory, ['--enable-unsafe-swiftshader']);
        browser.setDefaultTimeout(patience);
        const checks = {
            serving: () => checkServing(browser, server.origin, without.origin),
            examples: () => checkExamples(browser, server.origin),
            input: () => checkInput(browser, server.origin),
            loops: () => checkLoops(browser, server.origin),
            servers: () => checkServers(browser, server.origin),
            keys: () => checkKeys(browser, locked.origin),
            problems: () => checkProblems(browser, server.origin),
            sharing: () => checkSharing(browser, server.origin),
            dropping: () => checkDropping(browser, server.origin),
            snippets: () => checkSnippets(browser, server.origin),
            hostile: () => checkHostile(browser, server.origin),
            access: () => checkAccess(browser, server.origin, pictures),
        };
        for (const [name, check] of Object.entries(checks))
            if (!only || only.split(',').includes(name)) await within(check(), name);
        assert.equal(await stopServer(server.server), 0);
    } finally {
        if (browser) await within(browser.close(), 'closing the browser').catch(console.error);
        server?.server.kill('SIGKILL');
        without?.server.kill('SIGKILL');
        locked?.server.kill('SIGKILL');
        rmSync(directory, { recursive: true, force: true });
    }
}

await main();
