// The page: ties the controls, the editor, the runs and the output together.

import examples from 'examples:';
import { Editor } from './editor';
import { Output } from './output';
import type { Problem } from './problems';
import { asCurl, asFetch, requestsOf } from './requests';
import { run, serves, Stopped, undeploy, type Cost, type Verdict, type Watcher } from './run';
import { hasKey, isKey, Refusal, refusal, send, useKey } from './server';
import { fromFragment, isShared, toFragment } from './share';
import { displayOf, isTarget, limits, newWorkspace, readWorkspace, targets, whyNotPath, type Display, type Workspace } from './workspace';
import { makeZip } from './zip';

function element<T extends HTMLElement = HTMLElement>(id: string): T {
    return document.getElementById(id) as T;
}

const ui = {
    target: element<HTMLSelectElement>('target'),
    example: element<HTMLSelectElement>('example'),
    run: element<HTMLButtonElement>('run'),
    stop: element<HTMLButtonElement>('stop'),
    tabs: element('tabs'),
    source: element('source'),
    state: element('state'),
    costs: element('costs'),
    notice: element('notice'),
    missing: element('missing'),
    keyBox: element('key-box'),
    key: element<HTMLInputElement>('key'),
    keyField: element('key-field'),
    otherKey: element('key-other'),
    keyNote: element('key-note'),
    compilerArgs: element<HTMLInputElement>('compiler-args'),
    programArgs: element<HTMLInputElement>('program-args'),
    display: element<HTMLSelectElement>('display'),
    stdin: element<HTMLTextAreaElement>('stdin'),
    problemsBox: element('problems-box'),
    problems: element('problems'),
    deployment: element('deployment'),
    embed: element('embed'),
    dialog: element<HTMLDialogElement>('dialog'),
};

let workspace: Workspace = newWorkspace('c');
let active = '';
let problems: Problem[] = [];
let running: AbortController | undefined;

const output = new Output(element('output'), document.body.dataset.frame!);
const editor = new Editor(element('editor'), (path) => `Editor, ${path}`, (path, text) => {
    const file = workspace.files.find((one) => one.path === path);
    if (file) file.content = text;
    keep();
});

// What was typed survives a reload of this tab, and nothing else.
const kept = 'sandboxd-playground';
let keeping = 0;
function keep() {
    clearTimeout(keeping);
    keeping = window.setTimeout(() => {
        try {
            sessionStorage.setItem(kept, JSON.stringify(workspace));
        } catch {
            // Full, or forbidden: then a reload forgets.
        }
    }, 300);
}

function open(next: Workspace) {
    stop();
    undeploy();
    workspace = next;
    editor.load(workspace.files);
    ui.target.value = workspace.target;
    ui.compilerArgs.value = workspace.compilerArgs;
    ui.programArgs.value = workspace.programArgs;
    ui.display.value = workspace.display;
    ui.stdin.value = workspace.stdin;
    fitSettings();
    showProblems([]);
    showCosts([]);
    showDeployment(null);
    ui.embed.hidden = true;
    select(workspace.files[0]!.path);
    keep();
}

function fitSettings() {
    const { kind } = targets[workspace.target];
    const show = (id: string, visible: boolean) => { element(id).hidden = !visible; };
    show('compiler-args-field', kind === 'compile');
    show('program-args-field', kind === 'compile' || kind === 'server');
    show('display-field', kind === 'compile');
    show('stdin-field', kind === 'compile' || kind === 'sandbox');
    show('settings', kind !== 'execute');
    element('program-args-label').textContent = kind === 'server' ? 'Start command' : 'Program arguments';
    ui.programArgs.placeholder = kind === 'server' ? workspace.files[0]!.path : '';
    fitRun();
}

// What the operator can do about the runtimes that this server does not have, by their names.
const cures = new Map<string, string>();

// Why the workspace cannot run here; empty: it can.
function whyNotHere(): string {
    const { label, runtime } = targets[workspace.target];
    const cure = runtime === undefined ? undefined : cures.get(runtime);
    if (cure === undefined) return '';
    return `${label} is not available on this server.${cure === '' ? '' : ` For its operator: ${cure}.`}`;
}

function fitRun() {
    const why = whyNotHere();
    ui.missing.textContent = why;
    ui.missing.hidden = why === '';
    ui.run.disabled = why !== '';
}

// --- files as tabs ---------------------------------------------------------------------------------------------------

function showTabs() {
    ui.tabs.replaceChildren(...workspace.files.map((file) => {
        const tab = document.createElement('button');
        tab.type = 'button';
        tab.role = 'tab';
        tab.textContent = file.path;
        const chosen = file.path === active;
        tab.ariaSelected = String(chosen);
        tab.tabIndex = chosen ? 0 : -1;
        tab.setAttribute('aria-controls', 'editor');
        const count = problems.filter((one) => one.file === file.path && one.severity === 'error').length;
        if (count > 0) {
            tab.classList.add('wrong');
            tab.ariaLabel = `${file.path}, ${count} ${count === 1 ? 'error' : 'errors'}`;
        }
        tab.onclick = () => select(file.path);
        tab.ondblclick = () => void renameFile();
        return tab;
    }));
    element<HTMLButtonElement>('remove').disabled = workspace.files.length === 1;
}

function select(path: string) {
    active = path;
    editor.show(path);
    editor.setProblems(problems);
    showTabs();
    ui.tabs.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

ui.tabs.onkeydown = (event) => {
    const at = workspace.files.findIndex((file) => file.path === active);
    const last = workspace.files.length - 1;
    const to = event.key === 'ArrowRight' ? (at === last ? 0 : at + 1)
             : event.key === 'ArrowLeft' ? (at === 0 ? last : at - 1)
             : event.key === 'Home' ? 0
             : event.key === 'End' ? last
             : -1;
    if (event.key === 'F2') void renameFile();
    else if (event.key === 'Delete' && workspace.files.length > 1) void removeFile();
    else if (to >= 0) {
        select(workspace.files[to]!.path);
        (ui.tabs.querySelector('[aria-selected="true"]') as HTMLElement | null)?.focus();
    } else return;
    event.preventDefault();
};

async function addFile() {
    const path = await askName('Add a file', '', (name) => whyNotPath(name, workspace.files.map((file) => file.path)));
    if (path === undefined) return;
    putFile(path, '');
    select(path);
    editor.focus();
}

async function renameFile() {
    const file = workspace.files.find((one) => one.path === active)!;
    const others = workspace.files.filter((one) => one !== file).map((one) => one.path);
    const path = await askName('Rename the file', file.path, (name) => whyNotPath(name, others));
    if (path === undefined || path === file.path) return;
    editor.rename(file.path, path);
    file.path = path;
    problems = [];
    showProblems([]);
    select(path);
    keep();
}

async function removeFile() {
    if (!(await ask(`Delete ${active}?`, 'The file is gone then; there is no way back.', 'Delete'))) return;
    const at = workspace.files.findIndex((file) => file.path === active);
    editor.remove(active);
    workspace.files.splice(at, 1);
    problems = problems.filter((one) => one.file !== active);
    select(workspace.files[Math.min(at, workspace.files.length - 1)]!.path);
    showProblems(problems);
    keep();
}

function putFile(path: string, content: string) {
    const there = workspace.files.find((file) => file.path === path);
    if (there) there.content = content;
    else workspace.files.push({ path, content });
    editor.add(path, content);
    keep();
}

// Files and folders that are dropped on the source. A folder that is dropped alone is the workspace's root.
async function dropped(items: DataTransferItemList) {
    const entries = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
    const found: { path: string; file: globalThis.File }[] = [];
    const walk = async (entry: FileSystemEntry, path: string): Promise<void> => {
        if (found.length > limits.files) return;
        if (entry.isFile) {
            found.push({ path, file: await new Promise((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)) });
            return;
        }
        const reader = (entry as FileSystemDirectoryEntry).createReader();
        for (;;) {
            const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
            if (some.length === 0) break;
            for (const one of some)
                if (!one.name.startsWith('.') && one.name !== 'node_modules')
                    await walk(one, path === '' ? one.name : `${path}/${one.name}`);
        }
    };
    const [only] = entries;
    if (entries.length === 1 && only!.isDirectory) await walk(only!, '');
    else for (const entry of entries) await walk(entry, entry.name);
    const skipped: string[] = [];
    let first = '';
    for (const { path, file } of found) {
        const full = workspace.files.length >= limits.files && !workspace.files.some((one) => one.path === path);
        const text = file.size > limits.bytes || full ? undefined
            : await file.arrayBuffer().then((bytes) => new TextDecoder('utf-8', { fatal: true }).decode(bytes)).catch(() => undefined);
        if (text === undefined || whyNotPath(path, []) !== '') {
            skipped.push(path);
            continue;
        }
        putFile(path, text);
        first ||= path;
    }
    if (first !== '') select(first);
    if (skipped.length > 0) notice(`Left out, as they are too many, too large or no text: ${skipped.slice(0, 5).join(', ')}${skipped.length > 5 ? '…' : ''}`);
}

ui.source.addEventListener('dragover', (event) => {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    ui.source.classList.add('dropping');
}, true);
ui.source.addEventListener('dragleave', () => ui.source.classList.remove('dropping'), true);
ui.source.addEventListener('drop', (event) => {
    ui.source.classList.remove('dropping');
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    event.stopPropagation();
    void dropped(event.dataTransfer.items);
}, true);

// --- dialogs ---------------------------------------------------------------------------------------------------------

interface Question {
    title: string;
    text?: string;
    name?: string;
    code?: string;
    ok: string;
    check?: (name: string) => string;
}

function dialog(question: Question): Promise<string | undefined> {
    const input = element<HTMLInputElement>('dialog-input');
    const code = element<HTMLTextAreaElement>('dialog-code');
    const error = element('dialog-error');
    element('dialog-title').textContent = question.title;
    element('dialog-text').textContent = question.text ?? '';
    element('dialog-field').hidden = question.name === undefined;
    input.value = question.name ?? '';
    code.hidden = question.code === undefined;
    code.value = question.code ?? '';
    error.textContent = '';
    const ok = element<HTMLButtonElement>('dialog-ok');
    ok.textContent = question.ok;
    ui.dialog.returnValue = '';
    ui.dialog.showModal();
    (question.name !== undefined ? input : question.code !== undefined ? code : ok).focus();
    if (question.name !== undefined || question.code !== undefined) (question.name !== undefined ? input : code).select();
    return new Promise((resolve) => {
        ok.onclick = (event) => {
            if (question.code !== undefined) {
                event.preventDefault();
                void navigator.clipboard.writeText(question.code).then(
                    () => { ok.textContent = 'Copied'; },
                    () => { code.select(); error.textContent = 'The browser does not let this page copy: press Ctrl-C.'; });
                return;
            }
            const why = question.name === undefined ? '' : question.check?.(input.value.trim()) ?? '';
            error.textContent = why;
            if (why !== '') event.preventDefault();
        };
        ui.dialog.onclose = () => resolve(ui.dialog.returnValue === 'ok' ? input.value.trim() : undefined);
    });
}

const askName = (title: string, name: string, check: (name: string) => string) => dialog({ title, name, check, ok: 'OK' });
const ask = async (title: string, text: string, ok: string) => (await dialog({ title, text, ok })) !== undefined;
const showText = (title: string, text: string, code: string) => void dialog({ title, text, code, ok: 'Copy' });

function notice(text: string) {
    ui.notice.textContent = text;
    ui.notice.hidden = text === '';
    // On a phone it is far above the result.
    if (text !== '') ui.notice.scrollIntoView({ block: 'nearest' });
}

// --- the key ---------------------------------------------------------------------------------------------------------

// The server has asked for one.
let needsKey = false;

// A program in a frame may take the focus, and with it what is typed. So while the field is there, nothing runs.
function showKey(note: string, withField: boolean) {
    needsKey = true;
    if (withField) {
        stop();
        output.renew();
    }
    ui.keyBox.hidden = false;
    ui.keyNote.textContent = note;
    ui.keyField.hidden = !withField;
    element('key-use').hidden = !withField;
    ui.otherKey.hidden = withField;
    element('key-forget').hidden = !hasKey();
}

function askForKey(message: string) {
    showKey(hasKey() ? `${message}.` : 'This server wants a key. Its operator gives them out.', true);
}

const keyIsHere = 'This page has a key, until it is left or loaded anew. Nothing keeps it, and links do not hold it.';

ui.keyBox.onsubmit = (event) => {
    event.preventDefault();
    const given = ui.key.value.trim();
    if (!isKey(given)) {
        ui.keyNote.textContent = 'A key is letters, digits and -._~+/, and = at its end.';
        return;
    }
    useKey(given);
    ui.key.value = '';
    notice('');
    ui.keyNote.textContent = 'The server is asked about the key.';
    void learnRuntimes().catch(explain);
};
ui.otherKey.onclick = () => {
    showKey('The former key is used until there is another one.', true);
    ui.key.focus();
};
element('key-forget').onclick = () => {
    useKey('');
    showKey('The key is forgotten.', true);
    ui.key.focus();
};

// Tells why a request of a run did not work.
function explain(error: unknown) {
    if (!(error instanceof Refusal))
        return error instanceof TypeError ? unreachable() : notice(error instanceof Error ? error.message : String(error));
    const { message, status, code } = error;
    if (code === 'unauthorized') {
        askForKey(message);
        ui.key.focus();
        return notice('This needs a key, which can be given above.');
    }
    if (code === 'insufficient_scope') {
        showKey('Another key may be allowed to do it.', false);
        return notice(`This key may not do that: ${message}.`);
    }
    if (code.startsWith('tenant_')) return notice(`A limit of this key is reached: ${message}.`);
    notice(status === 503 || status === 429 ? `The server is busy: ${message}` : message);
}

function unreachable() {
    notice('The server cannot be reached.');
}

// --- runs ------------------------------------------------------------------------------------------------------------

function showState(text: string, kind: '' | 'busy' | Verdict) {
    ui.state.textContent = text;
    ui.state.className = kind;
}

function showCosts(costs: readonly Cost[]) {
    ui.costs.replaceChildren(...costs.map(({ label, value }) => {
        const one = document.createElement('span');
        const number = document.createElement('b');
        number.textContent = value;
        one.append(`${label} `, number);
        return one;
    }));
}

function showProblems(found: Problem[]) {
    problems = found;
    editor.setProblems(found);
    showTabs();
    ui.problemsBox.hidden = found.length === 0;
    const row = (place: { file: string; line: number; column: number }, text: string, kind: string) => {
        const item = document.createElement('li');
        const button = document.createElement('button');
        button.type = 'button';
        button.className = kind;
        button.textContent = place.line > 0 ? `${place.file}:${place.line}${place.column ? `:${place.column}` : ''}: ${text}` : text;
        button.onclick = () => {
            if (!workspace.files.some((file) => file.path === place.file)) return;
            select(place.file);
            if (place.line > 0) editor.goTo(place.line, place.column);
        };
        item.append(button);
        return item;
    };
    ui.problems.replaceChildren(...found.map((one) => {
        const item = row(one, `${one.severity}: ${one.message}`, one.severity);
        if (one.notes.length > 0) {
            const notes = document.createElement('ul');
            notes.append(...one.notes.map((note) => row(note, `note: ${note.message}`, 'note')));
            item.append(notes);
        }
        return item;
    }));
}

function showDeployment(url: string | null) {
    ui.deployment.hidden = url === null;
    if (url === null) return ui.deployment.replaceChildren();
    const frame = output.show(url);
    const address = document.createElement('div');
    address.className = 'address';
    const reload = document.createElement('button');
    reload.type = 'button';
    reload.textContent = 'Reload';
    reload.onclick = () => { frame.src = url; };
    const link = document.createElement('a');
    link.href = url;
    link.target = '_blank';
    link.rel = 'noopener';
    link.textContent = new URL(url, location.href).href;
    address.append(reload, link);
    ui.deployment.replaceChildren(address, frame);
}

function showEmbedding(artifacts: readonly { name: string; url: string }[]) {
    const script = artifacts.find((one) => one.name === 'app.js');
    ui.embed.hidden = !script;
    if (!script) return;
    const url = new URL(script.url, location.href);
    const inPage = displayOf(workspace) === 'page';
    const options = [`locateFile: (name) => "${new URL('.', url).href}" + name`,
                     ...(inPage ? ['canvas: document.querySelector("canvas")'] : [])];
    element('embed-code').textContent =
        (inPage ? '<canvas></canvas>\n' : '') + `<script src="${url.href}"></script>\n` +
        `<script>Module({ ${options.join(', ')} }).then((module) => module.callMain?.());</script>\n`;
}

async function start() {
    if (whyNotHere() !== '') return ui.missing.scrollIntoView({ block: 'nearest' });
    if (needsKey) showKey(hasKey() ? keyIsHere : 'This page has no key.', false);
    // A program that serves is updated in its place.
    running?.abort('update');
    const mine = new AbortController();
    running = mine;
    const isMine = () => running === mine;
    notice('');
    showProblems([]);
    showCosts([]);
    showState('Starting', 'busy');
    ui.embed.hidden = true;
    ui.stop.disabled = false;
    // On a phone the result is below the source.
    if (matchMedia('(max-width: 760px)').matches) element('result').scrollIntoView();
    if (targets[workspace.target].kind !== 'server') showDeployment(null);
    const began = performance.now();
    let phase = 'Starting';
    const clock = setInterval(() => {
        if (isMine() && performance.now() - began > 1000 && ui.state.className === 'busy')
            ui.state.textContent = `${phase}, ${Math.floor((performance.now() - began) / 1000)} s`;
    }, 500);
    const when = <A extends unknown[]>(f: (...args: A) => void) => (...args: A) => { if (isMine()) f(...args); };
    const watch: Watcher = {
        progress: when((text) => {
            phase = text;
            showState(text, text === 'Serving' ? 'open' : 'busy');
        }),
        waiting: when(() => {
            phase = 'Waiting for input';
            showState(phase, 'open');
        }),
        problems: when(showProblems),
        cost: when(showCosts),
        artifacts: when(showEmbedding),
        deployment: when(showDeployment),
        notUpdated: when((why) => {
            showState('Not updated: the former program serves on', 'failed');
            explain(why);
        }),
    };
    let verdict: Verdict = 'failed';
    let text = 'Failed';
    let failure: unknown;
    try {
        verdict = await run(structuredClone(workspace), output, watch, mine.signal);
        text = { ok: 'Done', failed: 'Failed', stopped: 'Stopped', open: 'Running on the page' }[verdict];
        if (verdict === 'stopped') output.stop();
    } catch (error) {
        if (error instanceof Stopped || mine.signal.aborted) {
            verdict = 'stopped';
            text = 'Stopped';
        } else {
            failure = error;
        }
    } finally {
        clearInterval(clock);
        if (isMine()) {
            showState(text, verdict);
            // What runs on a page goes on until it is stopped.
            if (verdict !== 'open') {
                running = undefined;
                // A deployment may serve although its log, or an update of it, has ended.
                if (!serves()) disableStop();
            }
        }
    }
    if (failure !== undefined) explain(failure);
}

function stop() {
    if (!running && !serves()) return;
    running?.abort();
    running = undefined;
    undeploy();
    // What runs in the frame ends with it, what ran on the server has ended. What was printed is still to be read.
    if (targets[workspace.target].kind === 'compile') output.stop();
    else output.note('(stopped)');
    showDeployment(null);
    showState('Stopped', 'stopped');
    disableStop();
}

// A button that has the focus and is disabled would lose it to nowhere.
function disableStop() {
    if (document.activeElement === ui.stop) ui.run.focus();
    ui.stop.disabled = true;
}

// --- controls --------------------------------------------------------------------------------------------------------

for (const [name, facts] of Object.entries(targets)) {
    let group = ui.target.querySelector<HTMLOptGroupElement>(`optgroup[label="${facts.group}"]`);
    if (!group) {
        group = document.createElement('optgroup');
        group.label = facts.group;
        ui.target.append(group);
    }
    group.append(new Option(facts.label, name));
}
for (const example of examples) ui.example.append(new Option(example.title, example.id));

ui.target.onchange = () => {
    if (!isTarget(ui.target.value)) return;
    const from = targets[workspace.target];
    const to = targets[ui.target.value];
    const [first] = workspace.files;
    const pristine = workspace.files.length === 1 && examples.every((one) => one.workspace.files[0]?.content !== first!.content) &&
                     Object.values(targets).some((facts) => facts.hello === first!.content);
    // What was written stays, if the new target can have it.
    const same = from.entry.split('.').pop() === to.entry.split('.').pop();
    if (pristine || !same) return open(newWorkspace(ui.target.value));
    stop();
    undeploy();
    workspace.target = ui.target.value;
    fitSettings();
    keep();
};
ui.example.onchange = () => {
    const chosen = examples.find((one) => one.id === ui.example.value);
    if (!chosen) return;
    const read = readWorkspace({ compilerArgs: '', programArgs: '', stdin: '', display: 'auto', ...chosen.workspace });
    if (read) open(read);
    showState('Ready', '');
    history.replaceState(null, '', location.pathname);
};
ui.compilerArgs.oninput = () => { workspace.compilerArgs = ui.compilerArgs.value; keep(); };
ui.programArgs.oninput = () => { workspace.programArgs = ui.programArgs.value; keep(); };
ui.display.onchange = () => { workspace.display = ui.display.value as Display; keep(); };
ui.stdin.oninput = () => { workspace.stdin = ui.stdin.value; keep(); };
ui.run.onclick = () => void start();
ui.stop.onclick = stop;
element('add').onclick = () => void addFile();
element('rename').onclick = () => void renameFile();
element('remove').onclick = () => void removeFile();
element('share').onclick = () => void (async () => {
    const fragment = await toFragment(workspace);
    history.replaceState(null, '', fragment);
    const url = location.href;
    showText('Share', `The link holds all files, ${url.length.toLocaleString('en')} characters. Nothing is stored on the server.`, url);
})();
element('zip').onclick = () => void (async () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await makeZip(workspace.files));
    link.download = 'playground.zip';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
})();
// With the key's place, never with the key: these are sent to others.
element('curl').onclick = () => showText(
    'As curl', `What Run sends, for a shell.${needsKey ? ' SANDBOXD_KEY is the variable with your key.' : ''}`,
    asCurl(requestsOf(workspace), location.origin, needsKey));
element('fetch').onclick = () => showText(
    'As fetch', 'What Run sends, for JavaScript. A page of another origin needs to be listed in http.apiCorsOrigins.' +
        (needsKey ? ' Your key goes in the place of YOUR_KEY.' : ''),
    asFetch(requestsOf(workspace), location.origin, needsKey));

addEventListener('keydown', (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    if (event.key === 'Enter' && !ui.dialog.open) void start();
    else if (event.key === '.' && (running || serves())) stop();
    else return;
    event.preventDefault();
}, true);
addEventListener('pagehide', () => undeploy(true));
addEventListener('hashchange', () => void openShared());

async function openShared() {
    if (!isShared(location.hash)) return;
    const shared = await fromFragment(location.hash);
    if (shared) {
        open(shared);
        showState('Ready', '');
        notice('This came with a link. Read it before you press Run.');
    } else {
        notice('The link is damaged: it holds no workspace that this page can read.');
    }
}

interface Runtimes {
    runtimes?: { name: string; version: string }[];
    missing?: { name: string; cure: string }[];
    error?: string;
    code?: string;
}

async function learnRuntimes() {
    const [runtimes, version] = await Promise.all([
        send<Runtimes>({ method: 'GET', path: '/runtimes' }),
        send<{ version?: string; toolchain?: { emcc?: string }; jail?: string }>({ method: 'GET', path: '/version' }),
    ]);
    const { version: own, jail } = version.answer;
    element('version').textContent = `sandboxd ${own ?? ''}, jail: ${jail ?? 'unknown'}`;
    if (runtimes.status >= 400) {
        if (runtimes.answer.code !== 'unauthorized') throw refusal(runtimes.status, runtimes.answer);
        return askForKey(runtimes.answer.error ?? '');
    }
    if (hasKey()) {
        const hadFocus = document.activeElement === ui.key;
        showKey(keyIsHere, false);
        if (hadFocus) ui.run.focus();
    }
    const there = new Map((runtimes.answer.runtimes ?? []).map((one) => [one.name, one.version]));
    cures.clear();
    for (const { runtime } of Object.values(targets))
        if (runtime !== undefined && !there.has(runtime)) cures.set(runtime, '');
    for (const { name, cure } of runtimes.answer.missing ?? []) cures.set(name, cure);
    for (const option of ui.target.options) {
        const facts = targets[option.value as keyof typeof targets];
        const emcc = version.answer.toolchain?.emcc;
        if (facts.kind === 'compile' && emcc) option.text = `${facts.label} (emcc ${emcc})`;
        if (!facts.runtime) continue;
        const found = there.get(facts.runtime);
        option.disabled = found === undefined;
        option.text = found === undefined ? `${facts.label} (not installed)` : `${facts.label} (${facts.runtime === 'typescript' ? 'Bun or esbuild' : found})`;
    }
    for (const option of ui.example.options) {
        const example = examples.find((one) => one.id === option.value);
        const runtime = isTarget(example?.workspace.target) ? targets[example.workspace.target].runtime : undefined;
        if (example) option.text = `${example.title}${runtime !== undefined && cures.has(runtime) ? ' (not installed)' : ''}`;
    }
    fitRun();
}

function reopened(): Workspace | undefined {
    try {
        return readWorkspace(JSON.parse(sessionStorage.getItem(kept) ?? 'null'));
    } catch {
        return undefined;
    }
}

open(reopened() ?? newWorkspace('c'));
showState('Ready', '');
void openShared();
void learnRuntimes().catch(explain);
