// Starts a compiled module with a terminal's standard streams, in a worker or in a document.
//
// Standard input has to wait, and WebAssembly cannot, but for JSPI (JavaScript Promise Integration, WebAssembly 3.0):
// read() is imported as a function that may suspend, main() is called as one that is suspended. A browser without it,
// or a program with JavaScript between main() and read(), is run again with one line more, and what it has written
// before is not shown a second time.

import type { Module } from '../src/protocol';

// More is of no use to who reads it, and a loop that prints would fill the page's memory.
export const maxOutputBytes = 4 * 1024 * 1024;
export const tooMuchOutput = 'it printed more than 4 MiB';

export interface Streams {
    write(stream: number, bytes: Uint8Array<ArrayBuffer>): void;
    // The next byte; null at the end; undefined: none is there yet.
    read(): number | null | undefined;
    // Until there is more to read, or the end.
    more(): Promise<void>;
    // Runs it again when there is more. Never returns.
    again(): never;
}

export interface Ended {
    code: number | null;
    message: string;
}

type Exports = Record<string, WebAssembly.ExportValue>;
type Callable = (...args: unknown[]) => unknown;
interface Jspi {
    Suspending: new (f: Callable) => Callable;
    promising: (f: Callable) => (...args: unknown[]) => Promise<unknown>;
}
const jspi = 'Suspending' in WebAssembly ? (WebAssembly as unknown as Jspi) : undefined;

const wouldBlock = 6;  // EAGAIN of WASI

// "_fd_read" is called so in JavaScript even where the import's own name was shortened (-O3).
function isNamed(f: unknown, name: string): f is Callable {
    return typeof f === 'function' && (f.name === `_${name}` || f.name === name);
}

export interface Runtime {
    callMain?: (args: string[]) => unknown;
    _fflush?: (stream: number) => number;
    [name: string]: unknown;
}
export type Factory = (options: Record<string, unknown>) => Promise<Runtime>;

export class Program {
    private memory?: WebAssembly.Memory;
    private runtime?: Runtime;
    private main: 'no' | 'next' | 'suspended' | 'answered' = 'no';
    private returned?: Promise<unknown>;
    private code: number | null = null;

    constructor(private module: Module, private streams: Streams, private suspends = jspi !== undefined) {}

    options(more: Record<string, unknown> = {}): Record<string, unknown> {
        const text = new TextEncoder();
        return {
            stdin: () => this.streams.read(),
            print: (line: string) => this.streams.write(1, text.encode(`${line}\n`)),
            printErr: (line: string) => this.streams.write(2, text.encode(`${line}\n`)),
            locateFile: (name: string) => name,
            getPreloadedPackage: (name: string) => this.module.files[name.slice(name.lastIndexOf('/') + 1)],
            onExit: (code: number) => { this.code = code; },
            // Its end is told by what is thrown.
            quit: (code: number, why: unknown) => {
                this.code = code;
                throw why;
            },
            instantiateWasm: (imports: Record<string, Exports>, receive: (instance: { exports: Exports }) => void) => {
                void this.instantiate(imports, receive);
                return {};
            },
            ...more,
        };
    }

    // What was thrown while the module was loaded or instantiated.
    failure = new Promise<never>((_, reject) => { this.fail = reject; });
    private fail!: (why: unknown) => void;

    async load(factory: Factory, more: Record<string, unknown> = {}): Promise<Runtime> {
        this.runtime = await Promise.race([factory(this.options(more)), this.failure]);
        return this.runtime;
    }

    private async instantiate(imports: Record<string, Exports>, receive: (instance: { exports: Exports }) => void) {
        try {
            for (const space of Object.values(imports)) {
                for (const [name, f] of Object.entries(space)) {
                    if (isNamed(f, 'fd_write')) space[name] = this.writer(f);
                    else if (isNamed(f, 'fd_read')) space[name] = this.reader(f);
                    else if (f instanceof WebAssembly.Memory) this.memory = f;
                }
            }
            const { instance } = await WebAssembly.instantiate(this.module.files['app.wasm']!, imports);
            const exports: Exports = {};
            for (const [name, value] of Object.entries(instance.exports)) {
                if (value instanceof WebAssembly.Memory) this.memory = value;
                exports[name] = typeof value === 'function' && value.length === 2
                                    ? this.perhapsMain(value as Callable)
                                    : value;
            }
            receive({ exports });
        } catch (error) {
            this.fail(error);
        }
    }

    // stdout and stderr as bytes, when they are written: print() has lines only.
    private writer(original: Callable): Callable {
        return (fd, vectors, count, written) => {
            if (fd !== 1 && fd !== 2) return original(fd, vectors, count, written);
            const view = new DataView(this.memory!.buffer);
            let total = 0;
            for (let i = 0; i < (count as number); ++i) {
                const at = view.getUint32((vectors as number) + 8 * i, true);
                const length = view.getUint32((vectors as number) + 8 * i + 4, true);
                if (length > 0) this.streams.write(fd, new Uint8Array(this.memory!.buffer, at, length).slice());
                total += length;
            }
            view.setUint32(written as number, total, true);
            return 0;
        };
    }

    private reader(original: Callable): Callable {
        const tryToRead = (args: unknown[]) => {
            // A prompt without a newline is seen before the program waits for its answer.
            if (args[0] === 0) this.runtime?._fflush?.(0);
            return original(...args);
        };
        if (!this.suspends || !jspi) {
            return (...args) => {
                const result = tryToRead(args);
                return args[0] === 0 && result === wouldBlock ? this.streams.again() : result;
            };
        }
        return new jspi.Suspending((...args) => {
            const result = tryToRead(args);
            if (args[0] !== 0 || result !== wouldBlock) return result;
            return (async () => {
                for (;;) {
                    await this.streams.more();
                    const later = original(...args);
                    if (later !== wouldBlock) return later;
                }
            })();
        });
    }

    // callMain() calls some exports to put the arguments on the stack, then main(argc, argv): the only one with two
    // parameters, whose name may have been shortened.
    private perhapsMain(f: Callable): Callable {
        return (...args) => {
            if (this.main === 'answered') return this.code;
            if (this.main !== 'next' || !this.suspends || !jspi) return f(...args);
            this.main = 'suspended';
            this.returned = jspi.promising(f)(...args);
            // What callMain() takes for "it goes on".
            throw 'unwind';
        };
    }

    async callMain(args: string[]): Promise<Ended> {
        try {
            const call = this.runtime!.callMain;
            if (!call) return { code: null, message: 'The program has no main().' };
            this.main = 'next';
            const first = call(args);
            if (this.returned) {
                this.code = Number(await this.returned);
                // Once more, for what callMain() does after main(): atexit(), destructors, the last line of output.
                this.main = 'answered';
                call(args);
            } else if (typeof first === 'number') {
                this.code = first;
            }
            return { code: this.code ?? 0, message: '' };
        } catch (error) {
            return this.ended(error);
        }
    }

    // How it ended, by what it threw.
    ended(error: unknown): Ended {
        if (typeof error === 'object' && error !== null && 'name' in error && error.name === 'ExitStatus')
            return { code: this.code ?? Number((error as unknown as { status: number }).status), message: '' };
        if (error === 'unwind') return { code: this.code ?? 0, message: '' };
        // @ts-expect-error not in TypeScript's library yet
        if (typeof WebAssembly.SuspendError === 'function' && error instanceof WebAssembly.SuspendError)
            this.streams.again();
        if (typeof error === 'number')
            return { code: null, message: 'The program threw an exception that nothing caught (compile with -fwasm-exceptions to catch any).' };
        return { code: null, message: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
    }
}
