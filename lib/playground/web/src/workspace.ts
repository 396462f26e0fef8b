// A workspace: the files and how they are run. It is all that a share link, an example and the page's memory hold.

export interface File {
    path: string;
    content: string;
}

export type Target =
    | 'c' | 'javascript'
    | 'node' | 'typescript' | 'bun' | 'python'
    | 'node-server' | 'typescript-server' | 'bun-server' | 'python-server';

export interface Workspace {
    target: Target;
    files: File[];
    compilerArgs: string;  // one line, read by splitWords()
    programArgs: string;
    stdin: string;
    display: Display;
}

// Where a compiled program runs: 'terminal' is a worker, 'page' the frame's own document, with a canvas.
export type Display = 'auto' | 'terminal' | 'page';

export interface TargetFacts {
    label: string;
    group: string;
    kind: 'compile' | 'execute' | 'sandbox' | 'server';
    runtime?: string;  // as GET /runtimes has it
    entry: string;     // the file that is made for a new workspace
    hello: string;
}

export const targets: Record<Target, TargetFacts> = {
    'c': {
        label: 'C, C++', group: 'In this browser', kind: 'compile', entry: 'main.c',
        hello: '#include <stdio.h>\n\nint main(void) {\n  puts("Hello!");\n  return 0;\n}\n',
    },
    'javascript': {
        label: 'JavaScript, interpreter', group: 'On the server', kind: 'execute', entry: 'main.js',
        hello: 'console.log("Hello!");\n[1, 2, 3].map((x) => x * x);\n',
    },
    'node': {
        label: 'Node.js', group: 'On the server', kind: 'sandbox', runtime: 'node', entry: 'index.js',
        hello: 'console.log(`Hello from Node.js ${process.version}!`);\n',
    },
    'typescript': {
        label: 'TypeScript', group: 'On the server', kind: 'sandbox', runtime: 'typescript', entry: 'index.ts',
        hello: 'const greet = (name: string): string => `Hello, ${name}!`;\nconsole.log(greet("TypeScript"));\n',
    },
    'bun': {
        label: 'Bun', group: 'On the server', kind: 'sandbox', runtime: 'bun', entry: 'index.ts',
        hello: 'console.log(`Hello from Bun ${Bun.version}!`);\n',
    },
    'python': {
        label: 'Python', group: 'On the server', kind: 'sandbox', runtime: 'python', entry: 'main.py',
        hello: 'import sys\n\nprint(f"Hello from Python {sys.version.split()[0]}!")\n',
    },
    'node-server': {
        label: 'Node.js server', group: 'Servers', kind: 'server', runtime: 'node', entry: 'index.js',
        hello: 'require("http")\n  .createServer((request, response) => response.end("Hello!"))\n' +
            '  .listen(process.env.PORT);\n',
    },
    'typescript-server': {
        label: 'TypeScript server', group: 'Servers', kind: 'server', runtime: 'typescript', entry: 'index.ts',
        hello: 'import { createServer } from "node:http";\n\ncreateServer((request, response) => {\n' +
            '  response.end("Hello!");\n}).listen(Number(process.env.PORT));\n',
    },
    'bun-server': {
        label: 'Bun server', group: 'Servers', kind: 'server', runtime: 'bun', entry: 'index.ts',
        hello: 'Bun.serve({ port: process.env.PORT, fetch: () => new Response("Hello!") });\n',
    },
    'python-server': {
        label: 'Python server', group: 'Servers', kind: 'server', runtime: 'python', entry: 'main.py',
        hello: 'import http.server, os\n\n\nclass Hello(http.server.BaseHTTPRequestHandler):\n' +
            '    def do_GET(self):\n        self.send_response(200)\n        self.end_headers()\n' +
            '        self.wfile.write(b"Hello!")\n\n\n' +
            'http.server.HTTPServer(("", int(os.environ["PORT"])), Hello).serve_forever()\n',
    },
};

export function isTarget(value: unknown): value is Target {
    return typeof value === 'string' && Object.hasOwn(targets, value);
}

export const limits = { files: 64, pathLength: 200, bytes: 4 * 1024 * 1024, lineLength: 4096 };

export function newWorkspace(target: Target): Workspace {
    const facts = targets[target];
    return { target, files: [{ path: facts.entry, content: facts.hello }], compilerArgs: '', programArgs: '', stdin: '',
             display: 'auto' };
}

// Why a file cannot have this name; empty: it can. `others` are the other files' names.
export function whyNotPath(path: string, others: readonly string[]): string {
    if (path === '') return 'A file needs a name.';
    if (path.length > limits.pathLength) return `A name has at most ${limits.pathLength} characters.`;
    // eslint-disable-next-line no-control-regex
    if (/[\u0000-\u001f\u007f\\]/.test(path)) return 'A name has no control characters and no backslash.';
    if (path.split('/').some((part) => part === '' || part === '.' || part === '..'))
        return 'A name is relative, without empty parts, "." and "..".';
    if (others.includes(path)) return `There is a file ${path} already.`;
    if (others.some((other) => other.startsWith(`${path}/`))) return `${path} is a folder already.`;
    const above = others.find((other) => path.startsWith(`${other}/`));
    if (above !== undefined) return `${above} is a file, and has no files below it.`;
    return '';
}

// A workspace of what a stranger may have written: a share link. Answers undefined for what is none.
export function readWorkspace(value: unknown): Workspace | undefined {
    if (typeof value !== 'object' || value === null) return undefined;
    const given = value as Record<string, unknown>;
    if (!isTarget(given.target) || !Array.isArray(given.files)) return undefined;
    if (given.files.length === 0 || given.files.length > limits.files) return undefined;
    const files: File[] = [];
    let bytes = 0;
    for (const one of given.files as unknown[]) {
        if (typeof one !== 'object' || one === null) return undefined;
        const { path, content } = one as Record<string, unknown>;
        if (typeof path !== 'string' || typeof content !== 'string') return undefined;
        if (whyNotPath(path, files.map((file) => file.path)) !== '') return undefined;
        bytes += content.length;
        if (bytes > limits.bytes) return undefined;
        files.push({ path, content });
    }
    const line = (text: unknown) => (typeof text === 'string' ? text.replace(/\s+/g, ' ').slice(0, limits.lineLength) : '');
    return {
        target: given.target,
        files,
        compilerArgs: line(given.compilerArgs),
        programArgs: line(given.programArgs),
        stdin: typeof given.stdin === 'string' ? given.stdin.slice(0, limits.bytes) : '',
        display: given.display === 'terminal' || given.display === 'page' ? given.display : 'auto',
    };
}

// A line as a shell splits it: blanks between words, '…', "…" and \ keep them. Nothing else is special.
export function splitWords(line: string): string[] {
    const words: string[] = [];
    let word: string | undefined;
    let quote = '';
    for (let i = 0; i < line.length; ++i) {
        const c = line[i]!;
        if (quote !== '') {
            if (c === quote) quote = '';
            else if (c === '\\' && quote === '"' && i + 1 < line.length) word += line[++i]!;
            else word += c;
        } else if (c === '"' || c === "'") {
            quote = c;
            word ??= '';
        } else if (c === '\\' && i + 1 < line.length) {
            word = (word ?? '') + line[++i]!;
        } else if (/\s/.test(c)) {
            if (word !== undefined) words.push(word);
            word = undefined;
        } else {
            word = (word ?? '') + c;
        }
    }
    if (word !== undefined) words.push(word);
    return words;
}

const sourceEnding = /\.(c|cc|cpp|cxx|c\+\+)$/i;
// What only a document has: SDL and GL draw on a canvas, JavaScript beside the program calls it.
const wantsPage = /#\s*include\s*[<"](SDL|GLES|GL\/|EGL|GLFW|emscripten\/(html5|bind|val))|\bEM_(ASM|JS)\b|getElementById/;

// The file that a compiled program's JavaScript comes from; see README, "A script beside a module".
export const scriptName = 'run.js';

export function displayOf(workspace: Workspace): 'terminal' | 'page' {
    if (workspace.display !== 'auto') return workspace.display;
    return workspace.files.some((file) => file.path === scriptName ||
                                          (sourceEnding.test(file.path) && wantsPage.test(file.content)))
               ? 'page'
               : 'terminal';
}
