// Bundles the page and its frame, and writes each asset three times: as it is, for gzip and for brotli. assets.S puts them
// into the program, assets.cpp is their table (../assets.hpp).
//
//     node build.mjs NODE_MODULES OUT

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const [modules, out] = process.argv.slice(2).map((path) => resolve(path));
if (!modules || !out) throw new Error('usage: node build.mjs NODE_MODULES OUT');
const esbuild = createRequire(join(modules, 'x.js'))('esbuild');

const options = {
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: ['es2022'],
    legalComments: 'eof',
    charset: 'utf8',
    nodePaths: [modules],
    logLevel: 'warning',
    tsconfigRaw: '{}',
};

// The worker's text, which the frame makes a blob of.
const worker = {
    name: 'worker',
    setup(build) {
        build.onResolve({ filter: /^worker:/ }, ({ path, resolveDir }) =>
            ({ path: resolve(resolveDir, path.slice('worker:'.length)), namespace: 'worker' }));
        build.onLoad({ filter: /./, namespace: 'worker' }, async ({ path }) => {
            const made = await esbuild.build({ ...options, entryPoints: [path], format: 'iife' });
            return { contents: made.outputFiles[0].text, loader: 'text' };
        });
    },
};

// Each folder of examples/ is one; index.json has the rest of its workspace.
const examples = {
    name: 'examples',
    setup(build) {
        build.onResolve({ filter: /^examples:$/ }, ({ path }) => ({ path, namespace: 'examples' }));
        build.onLoad({ filter: /./, namespace: 'examples' }, () => {
            const index = JSON.parse(readFileSync(join(here, 'examples/index.json'), 'utf8'));
            const all = index.map(({ id, title, workspace }) => {
                const paths = readdirSync(join(here, 'examples', id), { recursive: true, withFileTypes: true })
                    .filter((entry) => entry.isFile())
                    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(join(here, 'examples', id).length + 1))
                    .sort((a, b) => (b === workspace.first) - (a === workspace.first) || (a < b ? -1 : 1));
                const files = paths.map((path) => ({ path, content: readFileSync(join(here, 'examples', id, path), 'utf8') }));
                const { first, ...rest } = workspace;
                return { id, title, workspace: { ...rest, files } };
            });
            return { contents: JSON.stringify(all), loader: 'json' };
        });
    },
};

async function bundle(file, more = {}) {
    const made = await esbuild.build({ ...options, entryPoints: [join(here, file)], plugins: [worker, examples], ...more });
    return Buffer.from(made.outputFiles[0].contents);
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const assets = [];

// `stem.ending`, served as a name with its content's hash, or as `as`.
function put(name, content, type, as, script = '') {
    const hash = createHash('sha256').update(content).digest('hex');
    const dot = name.lastIndexOf('.');
    const served = as ?? `${name.slice(0, dot)}-${hash.slice(0, 16)}${name.slice(dot)}`;
    writeFileSync(join(out, served), content);
    writeFileSync(join(out, `${served}.gz`), gzipSync(content, { level: 9 }));
    writeFileSync(join(out, `${served}.br`), brotliCompressSync(content, {
        params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length },
    }));
    assets.push({ name: served, type, hash: hash.slice(0, 32), script });
    return served;
}

function fill(file, names, folder = '/playground') {
    let text = readFileSync(join(here, file), 'utf8');
    for (const [mark, path] of Object.entries(names)) text = text.replaceAll(`{${mark}}`, `${folder}/${path}`);
    return Buffer.from(text);
}

// The frame is whole in itself: its policy names its script by what it is, and lets it load nothing.
function putFrame(script, style) {
    // esbuild writes no end tags into either; what else would end them early, or change how they are read, is refused.
    if (/<\/script|<!--|<script|\r|\0/i.test(script) || /<\/style/i.test(style)) throw new Error('the frame cannot hold its script');
    const text = readFileSync(join(here, 'frame/frame.html'), 'utf8')
        .replace('{frame.js}', () => script).replace('{frame.css}', () => style);
    const hash = createHash('sha256').update(script).digest('base64');
    return put('frame.html', Buffer.from(text), 'text/html; charset=utf-8', undefined, `sha256-${hash}`);
}

const frameScript = await bundle('frame/frame.ts', { format: 'iife', charset: 'ascii' });
const names = { 'frame.html': putFrame(frameScript.toString(), (await bundle('frame/frame.css')).toString()) };
names['page.js'] = put('page.js', await bundle('src/main.ts'), 'text/javascript; charset=utf-8');
names['page.css'] = put('page.css', await bundle('src/style.css'), 'text/css; charset=utf-8');
put('index.html', fill('index.html', names), 'text/html; charset=utf-8', 'index.html');

// The page of the API's description: RapiDoc, which npm has as one file that holds everything it needs.
const docs = {
    'docs.js': put('docs.js', await bundle('docs/docs.ts'), 'text/javascript; charset=utf-8'),
    'docs.css': put('docs.css', await bundle('docs/docs.css'), 'text/css; charset=utf-8'),
};
put('docs.html', fill('docs/docs.html', docs, '/docs'), 'text/html; charset=utf-8', 'docs.html');

// In the order of the table's members.
const codings = [['identity', ''], ['gzip', '.gz'], ['brotli', '.br']];
let assembler = '    .section .rodata\n';
let declarations = '';
let rows = '';
assets.forEach(({ name, type, hash, script }, i) => {
    const texts = codings.map(([coding, ending]) => {
        const symbol = `sandboxd_playground_${i}_${coding}`;
        assembler += `    .global ${symbol}, ${symbol}_end\n${symbol}:\n` +
            `    .incbin ${JSON.stringify(join(out, name + ending))}\n${symbol}_end:\n`;
        declarations += `extern const char ${symbol}[];\nextern const char ${symbol}_end[];\n`;
        return `{${symbol}, ${symbol}_end}`;
    });
    rows += `        {${JSON.stringify(name)}, ${JSON.stringify(type)}, "${hash}", "${script}",\n         ${texts.join(',\n         ')}},\n`;
});
assembler += '    .section .note.GNU-stack,"",%progbits\n';
writeFileSync(join(out, 'assets.S'), assembler);
writeFileSync(join(out, 'assets.cpp'), `// Made by web/build.mjs.
#include "playground/assets.hpp"

extern "C" {
${declarations}}

namespace sandboxd::playground {

std::span<const asset> assets() noexcept
{
    static const asset all[] = {
${rows}    };
    return all;
}

}  // namespace sandboxd::playground
`);
