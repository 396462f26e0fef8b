// The frame in which programs run and print: a document of an opaque origin (its answer's own Content-Security-Policy
// and the page's <iframe sandbox> both say so), without network. A new one for each run; to end a program is to throw it
// away.

import { maxOutputBytes, Program, tooMuchOutput, type Factory } from './program';
import { LineTerminal } from './terminal';
import workerText from 'worker:./worker.ts';
import type { FromFrame, FromWorker, Printed, Start, ToFrame, ToWorker, WorkerStart } from '../src/protocol';

// The policy does not govern it, and it reaches any address (STUN). Child frames, which would have their own, cannot be
// loaded.
for (const name of ['RTCPeerConnection', 'webkitRTCPeerConnection'])
    Object.defineProperty(globalThis, name, { value: undefined, writable: false, configurable: false });

const canvas = document.querySelector('canvas')!;

function connect(port: MessagePort) {
    const send = (message: FromFrame) => port.postMessage(message);
    const encoder = new TextEncoder();
    let began = performance.now();
    let onLine: (bytes: Uint8Array<ArrayBuffer>, ends: boolean) => void = () => {};

    // A copy of what is printed and typed goes to the page, which shows it when this frame had to go. At first at once, as
    // a program on a page that loops leaves no time for later. The page counts messages: then small pieces wait for more.
    const copiesAtOnce = 20_000;
    const largeCopy = 512;
    let copies = 0;
    let held: Printed[] = [];
    let heldLength = 0;
    let later: ReturnType<typeof setTimeout> | undefined;
    const flush = () => {
        clearTimeout(later);
        later = undefined;
        if (held.length === 0) return;
        ++copies;
        send({ type: 'printed', pieces: held });
        held = [];
        heldLength = 0;
    };
    const copy = (text: string, stream: Printed['stream']) => {
        if (text === '') return;
        held.push({ text, stream });
        heldLength += text.length;
        if (copies < copiesAtOnce || heldLength >= largeCopy) flush();
        else later ??= setTimeout(flush, 1000);
    };

    const terminal = new LineTerminal(document.querySelector('#terminal')!, {
        line: (text) => {
            copy(`${text}\n`, 'stdout');
            onLine(encoder.encode(`${text}\n`), false);
        },
        end: () => onLine(new Uint8Array(), true),
        interrupt: () => {
            copy('^C\n', 'stdout');
            flush();
            send({ type: 'interrupt' });
        },
    });

    const paint = { stdout: ['', ''], stderr: ['\x1b[31m', '\x1b[39m'], note: ['\x1b[90m', '\x1b[39m'] };
    const write = (text: string, stream: Printed['stream']) =>
        terminal.write(paint[stream][0] + text + paint[stream][1]);
    // What is of the program in this frame.
    const print = (text: string, stream: 'stdout' | 'stderr') => {
        write(text, stream);
        copy(text, stream);
    };

    const end = (code: number | null, message: string) => {
        terminal.listen(false);
        if (message !== '') print(`${message}\n`, 'stderr');
        send({ type: 'ended', code, message, milliseconds: performance.now() - began });
    };

    function runInWorker(start: Start) {
        const url = URL.createObjectURL(new Blob([workerText], { type: 'text/javascript' }));
        let all = encoder.encode(start.stdin);
        let ends = false;
        let shown = 0;
        let replays = false;
        let waits = false;
        let asked = false;
        let given = 0;  // of the input, when it was started
        const decoders = { 1: new TextDecoder(), 2: new TextDecoder() };
        let worker: Worker;

        const launch = () => {
            waits = false;
            given = all.length + Number(ends);
            worker = new Worker(url);
            worker.onmessage = ({ data }: MessageEvent<FromWorker>) => received(data);
            worker.onerror = (event) => {
                event.preventDefault();
                end(null, event.message || 'The program failed.');
            };
            const message: WorkerStart = { module: start.module, args: start.args, input: all, inputEnds: ends,
                                           skip: shown, replays };
            worker.postMessage(message);
        };

        function received(data: FromWorker) {
            switch (data.type) {
                case 'output': {
                    shown += data.bytes.length;
                    const stream = data.stream === 2 ? 2 : 1;
                    print(decoders[stream].decode(data.bytes, { stream: true }), stream === 2 ? 'stderr' : 'stdout');
                    break;
                }
                case 'running':
                    send({ type: 'running' });
                    break;
                case 'again':
                    replays = true;
                    worker.terminate();
                    // It was typed meanwhile.
                    if (all.length + Number(ends) > given) return launch();
                    // falls through
                case 'waiting':
                    if (!asked) terminal.focus();
                    asked = true;
                    waits = true;
                    send({ type: 'waiting' });
                    break;
                case 'ended':
                    worker.terminate();
                    end(data.code, data.message);
            }
        }

        onLine = (bytes, atEnd) => {
            const longer = new Uint8Array(all.length + bytes.length);
            longer.set(all);
            longer.set(bytes, all.length);
            all = longer;
            ends = atEnd;
            const message: ToWorker = { type: 'input', bytes, ends };
            if (!replays) worker.postMessage(message);
            else if (waits) launch();
        };
        // As with a terminal, it may be typed before it is asked for.
        terminal.listen(true);
        launch();
    }

    async function runInPage(start: Start) {
        document.body.classList.add('page');
        const input = encoder.encode(start.stdin);
        const decoders = { 1: new TextDecoder(), 2: new TextDecoder() };
        let at = 0;
        let written = 0;
        const printSome = (text: string, stream: 'stdout' | 'stderr') => {
            if (written >= maxOutputBytes) throw new Error(tooMuchOutput);
            written += text.length;
            print(text, stream);
        };
        const program = new Program(start.module, {
            write: (stream, bytes) =>
                printSome(decoders[stream === 2 ? 2 : 1].decode(bytes, { stream: true }), stream === 2 ? 'stderr' : 'stdout'),
            read: () => (at < input.length ? input[at++]! : null),
            more: () => Promise.resolve(),
            again: () => { throw new Error('standard input cannot wait on a page'); },
        }, false);
        // What a callback throws later, a frame after main().
        const late = (error: unknown) => {
            const { code, message } = program.ended(error);
            end(code, message);
        };
        addEventListener('error', (event) => late(event.error ?? event.message));
        addEventListener('unhandledrejection', (event) => late(event.reason));
        try {
            const script = document.createElement('script');
            script.src = URL.createObjectURL(new Blob([start.module.js], { type: 'text/javascript' }));
            await new Promise((resolve, reject) => {
                script.onload = resolve;
                script.onerror = () => reject(new Error('the module could not be loaded'));
                document.head.append(script);
            });
            const { Module } = globalThis as unknown as { Module: Factory };
            const runtime = await program.load(Module, { canvas });
            send({ type: 'running' });
            if (start.module.script === undefined) {
                const ended = await program.callMain(start.args);
                if (ended.code !== 0 || ended.message !== '') return end(ended.code, ended.message);
                return send({ type: 'ended', code: 0, message: '', milliseconds: performance.now() - began });
            }
            const show = (stream: 'stdout' | 'stderr') => (...values: unknown[]) =>
                printSome(`${values.map((v) => (typeof v === 'string' ? v : JSON.stringify(v) ?? String(v))).join(' ')}\n`, stream);
            const output = { log: show('stdout'), info: show('stdout'), warn: show('stderr'), error: show('stderr') };
            const AsyncFunction = (async () => {}).constructor as new (...text: string[]) =>
                (...values: unknown[]) => Promise<unknown>;
            await new AsyncFunction('Module', 'console', 'canvas', start.module.script)(runtime, output, canvas);
            send({ type: 'ended', code: 0, message: '', milliseconds: performance.now() - began });
        } catch (error) {
            late(error);
        }
    }

    port.onmessage = ({ data }: MessageEvent<ToFrame>) => {
        if (data.type === 'write') return write(data.text, data.stream);
        if (data.type === 'clear') return terminal.clear();
        began = performance.now();
        if (data.display === 'page') void runInPage(data);
        else runInWorker(data);
    };
    send({ type: 'ready' });
}

// The page sends the port, once: the first message that has one.
addEventListener('message', function begin(event) {
    if (event.source !== parent || !event.ports[0]) return;
    removeEventListener('message', begin);
    connect(event.ports[0]);
});
