// The requests that the page sends for a workspace, as values: what sends them, "as curl" and "as fetch" share them.

import { displayOf, scriptName, splitWords, targets, type Workspace } from './workspace';

export interface Request {
    method: string;
    path: string;
    accept?: string;
    body?: unknown;
}

// What the page's own frame needs of a module: it starts main() itself, with arguments; a program's last output comes
// out when the runtime ends, and a prompt when it reads (fflush).
const frameArgs = ['-sMODULARIZE=1', '-sEXPORT_NAME=Module', '-sEXPORT_ES6=0', '-sINVOKE_RUN=0',
                   '-sENVIRONMENT=web,worker'];

function exported(words: string[], setting: string, ours: string[]): string[] {
    const names = new Set(ours);
    for (let i = 0; i < words.length; ++i) {
        const text = words[i] === '-s' ? `-s${words[i + 1] ?? ''}` : words[i]!;
        const value = text.match(new RegExp(`^-s\\s*(?:EXTRA_)?${setting}=(.*)$`))?.[1];
        for (const name of value?.match(/[A-Za-z_$][\w$]*/g) ?? []) names.add(name);
    }
    return names.size === 0 ? [] : [`-s${setting}=${[...names].join(',')}`];
}

export function compileRequest(workspace: Workspace): Request {
    const given = splitWords(workspace.compilerArgs);
    const files = workspace.files.filter((file) => file.path !== scriptName);
    const inPage = displayOf(workspace) === 'page';
    // A module that a script calls may do without.
    const hasMain = files.length === workspace.files.length || files.some((file) => /\bmain\s*\(/.test(file.content));
    const args = [
        ...given,
        ...frameArgs,
        // A program on a page may go on after main(), a frame at a time.
        `-sEXIT_RUNTIME=${inPage ? 0 : 1}`,
        // A misspelt main() is an error.
        ...(hasMain ? ['-sIGNORE_MISSING_MAIN=0'] : []),
        ...exported(given, 'EXPORTED_RUNTIME_METHODS', hasMain ? ['callMain'] : []),
        ...exported(given, 'EXPORTED_FUNCTIONS', hasMain ? ['_main', '_fflush'] : ['_fflush']),
    ];
    return { method: 'POST', path: '/compile', body: { files, args } };
}

const isModule = /^\s*(import\s*[\w{*"']|export\s)/m;

export function executeRequest(workspace: Workspace): Request {
    const [main, ...others] = workspace.files;
    const modules = Object.fromEntries(others.map((file) => [file.path, file.content]));
    return {
        method: 'POST',
        path: '/execute',
        body: {
            script: main!.content,
            ...(isModule.test(main!.content) ? { module: true } : {}),
            ...(others.length > 0 ? { modules } : {}),
        },
    };
}

export function sandboxRequest(workspace: Workspace): Request {
    return {
        method: 'POST',
        path: '/sandbox',
        body: { runtime: targets[workspace.target].runtime, entry_point: workspace.files[0]!.path,
                files: workspace.files },
    };
}

export function sandboxRunRequest(workspace: Workspace, id: string): Request {
    return {
        method: 'POST',
        path: `/sandbox/${id}/execute`,
        accept: 'application/x-ndjson',
        body: workspace.stdin === '' ? {} : { stdin: workspace.stdin },
    };
}

export function deployRequest(workspace: Workspace): Request {
    const start = splitWords(workspace.programArgs).length > 0 ? workspace.programArgs : workspace.files[0]!.path;
    return {
        method: 'POST',
        path: '/faas/deploy',
        body: { runtime: targets[workspace.target].runtime, entry_point: start, files: workspace.files,
                auto_scale: { scale_down_after_minutes: 5 } },
    };
}

// In the order in which they are sent. `{id}` stands for what the answer before has.
export function requestsOf(workspace: Workspace): Request[] {
    switch (targets[workspace.target].kind) {
        case 'compile': return [compileRequest(workspace)];
        case 'execute': return [executeRequest(workspace)];
        case 'sandbox': return [sandboxRequest(workspace), sandboxRunRequest(workspace, '{id}')];
        case 'server': return [deployRequest(workspace)];
    }
}

// A word for a POSIX shell.
function quoted(text: string): string {
    return `'${text.replaceAll("'", "'\\''")}'`;
}

// Of both: `needsKey` leaves a place for the key of who uses it.
export function asCurl(requests: readonly Request[], origin: string, needsKey: boolean): string {
    const commands = requests.map((request, i) => {
        const url = origin + request.path.replace('{id}', "'\"$ID\"'");
        const json = JSON.stringify(request.body ?? {});
        const last = i + 1 === requests.length;
        const accept = (request.accept ? ` -H ${quoted(`Accept: ${request.accept}`)}` : '') +
            (needsKey ? ' -H "Authorization: Bearer $SANDBOXD_KEY"' : '');
        const command = `curl -sS${request.accept ? 'N' : ''} -X ${request.method} '${url}'${accept} ` +
            `-H 'Content-Type: application/json' \\\n  --data-raw ${quoted(json)}`;
        // Without a program that reads JSON: the id is the first member of the answer.
        return last ? command : `ID=$(${command} |\n  sed 's/^{"id":"\\([^"]*\\)".*/\\1/')`;
    });
    return commands.join('\n') + '\n';
}

export function asFetch(requests: readonly Request[], origin: string, needsKey: boolean): string {
    let text = '';
    requests.forEach((request, i) => {
        const url = JSON.stringify(origin + request.path).replace(/^"(.*)"$/, (_, inner: string) =>
            inner.includes('{id}') ? '`' + inner.replace('{id}', '${id}') + '`' : `"${inner}"`);
        const headers = { 'Content-Type': 'application/json', ...(request.accept ? { Accept: request.accept } : {}),
                          ...(needsKey ? { Authorization: 'Bearer YOUR_KEY' } : {}) };
        const last = i + 1 === requests.length;
        text += `const ${last ? 'response' : 'created'} = await fetch(${url}, {\n` +
            `  method: ${JSON.stringify(request.method)},\n` +
            `  headers: ${JSON.stringify(headers)},\n` +
            `  body: JSON.stringify(${JSON.stringify(request.body ?? {}, null, 2).replaceAll('\n', '\n  ')}),\n` +
            '});\n';
        text += last ? (request.accept ? 'console.log(await response.text());\n' : 'console.log(await response.json());\n')
                     : 'const { id } = await created.json();\n';
    });
    return text;
}
