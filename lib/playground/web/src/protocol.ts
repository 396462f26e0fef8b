// What the page and its frame say to each other, and the frame and its worker. The page believes nothing of what comes
// from the frame, in which strangers' programs run: it shows texts as texts, and numbers as numbers.

export interface Module {
    js: string;
    files: Record<string, ArrayBuffer>;  // app.wasm, app.data
    script?: string;                     // run.js: runs after the module is there, instead of main()
}

export interface Start {
    type: 'start';
    module: Module;
    args: string[];
    stdin: string;
    display: 'terminal' | 'page';
}

export interface Printed {
    text: string;
    stream: 'stdout' | 'stderr' | 'note';
}

export type ToFrame =
    | Start
    // What a program elsewhere has written.
    | ({ type: 'write' } & Printed)
    | { type: 'clear' };

export type FromFrame =
    | { type: 'ready' }
    | { type: 'running' }
    | { type: 'waiting' }  // for a line of standard input
    | { type: 'interrupt' }  // Ctrl-C
    // What the program has printed, and what was typed: for when the frame has to go.
    | { type: 'printed'; pieces: Printed[] }
    | { type: 'ended'; code: number | null; message: string; milliseconds: number };

export interface WorkerStart {
    module: Module;
    args: string[];
    input: Uint8Array<ArrayBuffer>;
    inputEnds: boolean;
    // Bytes of output that have been shown before: the program runs again with one line more (see worker.ts).
    skip: number;
    replays: boolean;
}

export type FromWorker =
    | { type: 'output'; bytes: Uint8Array<ArrayBuffer>; stream: number }
    | { type: 'running' }
    | { type: 'waiting' }
    | { type: 'again' }  // there is no way to wait: run it again with more input
    | { type: 'ended'; code: number | null; message: string };

export type ToWorker = { type: 'input'; bytes: Uint8Array<ArrayBuffer>; ends: boolean };
