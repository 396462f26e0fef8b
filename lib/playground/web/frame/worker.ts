// A program with a terminal: a worker of the frame, so that an endless loop can be ended by ending the worker.

import { maxOutputBytes, Program, tooMuchOutput, type Factory } from './program';
import type { FromWorker, ToWorker, WorkerStart } from '../src/protocol';

declare function importScripts(url: string): void;

const send = (message: FromWorker) => postMessage(message);

const again = Symbol('again');

// A window of the output: a program that prints faster is sent in larger pieces.
const windowMs = 20;
const piecesPerWindow = 4096;
const largePieceBytes = 16 * 1024;

function run(start: WorkerStart) {
    let input = start.input;
    let at = 0;
    let ends = start.inputEnds;
    let wake: (() => void) | undefined;
    let written = 0;
    let toSkip = start.skip;
    let held: Uint8Array<ArrayBuffer>[] = [];
    let heldBytes = 0;
    let heldStream = 1;
    let windowStart = performance.now();
    let pieces = 0;

    const flush = () => {
        if (heldBytes === 0) return;
        const bytes = new Uint8Array(heldBytes);
        let to = 0;
        for (const piece of held) {
            bytes.set(piece, to);
            to += piece.length;
        }
        held = [];
        heldBytes = 0;
        ++pieces;
        send({ type: 'output', bytes, stream: heldStream });
    };

    const write = (stream: number, bytes: Uint8Array<ArrayBuffer>) => {
        if (written >= maxOutputBytes) throw new Error(tooMuchOutput);
        written += bytes.length;
        const skipped = Math.min(toSkip, bytes.length);
        toSkip -= skipped;
        if (stream !== heldStream) flush();
        heldStream = stream;
        held.push(bytes.subarray(skipped));
        heldBytes += bytes.length - skipped;
        const now = performance.now();
        if (now - windowStart > windowMs) {
            windowStart = now;
            pieces = 0;
        }
        // What is held could be the last for minutes: a worker that computes has no timers. Thus a piece waits only
        // where the window is full.
        if (pieces < piecesPerWindow || heldBytes > largePieceBytes) flush();
        else setTimeout(flush);
    };

    const program = new Program(start.module, {
        write,
        read: () => (at < input.length ? input[at++]! : ends ? null : undefined),
        more: () => {
            flush();
            send({ type: 'waiting' });
            return new Promise((resolve) => { wake = resolve; });
        },
        again: () => {
            flush();
            send({ type: 'again' });
            throw again;
        },
    }, start.replays ? false : undefined);

    onmessage = ({ data }: MessageEvent<ToWorker>) => {
        const rest = input.subarray(at);
        input = new Uint8Array(rest.length + data.bytes.length);
        input.set(rest);
        input.set(data.bytes, rest.length);
        at = 0;
        ends = data.ends;
        wake?.();
    };

    void (async () => {
        let ended;
        try {
            const url = URL.createObjectURL(new Blob([start.module.js], { type: 'text/javascript' }));
            importScripts(url);
            const { Module } = globalThis as unknown as { Module: Factory };
            await program.load(Module);
            send({ type: 'running' });
            ended = await program.callMain(start.args);
        } catch (error) {
            if (error === again) return;
            try {
                ended = program.ended(error);
            } catch {
                return;
            }
        }
        flush();
        send({ type: 'ended', ...ended });
    })();
}

onmessage = ({ data }: MessageEvent<WorkerStart>) => run(data);
