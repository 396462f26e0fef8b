// How each kind of workspace is run. A run prints into the output's frame, reports problems and what it cost, and ends
// when its signal aborts.

import { inEditorColumns, ofCompiler, ofTrace, utf16Column, type Problem } from './problems';
import { compileRequest, deployRequest, executeRequest, sandboxRequest, sandboxRunRequest } from './requests';
import { bytes, lines, refusal, send, tell, type Refusal } from './server';
import { displayOf, scriptName, splitWords, targets, type Workspace } from './workspace';
import type { Heard, Output } from './output';

export interface Cost {
    label: string;
    value: string;
}

export interface Watcher {
    progress(text: string): void;
    problems(problems: Problem[]): void;
    cost(costs: Cost[]): void;
    // The program wants a line: what is typed goes to it.
    waiting(): void;
    artifacts(urls: { name: string; url: string }[]): void;
    deployment(url: string | null): void;
    // The server did not take the new files: what it ran before goes on.
    notUpdated(why: Refusal): void;
}

export type Verdict = 'ok' | 'failed' | 'stopped' | 'open';

export class Stopped extends Error {}

const number = new Intl.NumberFormat('en');
export function amount(value: number): string {
    if (value < 1024) return `${value} B`;
    return value < 1024 * 1024 ? `${(value / 1024).toFixed(1)} KiB` : `${(value / 1024 / 1024).toFixed(1)} MiB`;
}
const duration = (ms: number) => (ms < 10 ? `${ms.toFixed(1)} ms` : ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

function usageCosts(usage: { memoryPeakBytes?: number; cpuMs?: number } | undefined): Cost[] {
    return [
        ...(usage?.memoryPeakBytes ? [{ label: 'memory', value: amount(usage.memoryPeakBytes) }] : []),
        ...(usage?.cpuMs ? [{ label: 'processor', value: duration(usage.cpuMs) }] : []),
    ];
}

const until = (signal: AbortSignal) => new Promise<never>((_, reject) => {
    const stop = () => reject(new Stopped());
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
});

export async function run(workspace: Workspace, output: Output, watch: Watcher, signal: AbortSignal): Promise<Verdict> {
    switch (targets[workspace.target].kind) {
        case 'compile': return runCompiled(workspace, output, watch, signal);
        case 'execute': return runScript(workspace, output, watch, signal);
        case 'sandbox': return runSandbox(workspace, output, watch, signal);
        case 'server': return runServer(workspace, output, watch, signal);
    }
}

interface Compiled {
    ok: boolean;
    error?: string;
    code?: string;
    cached?: boolean;
    artifacts?: { name: string; url: string; bytes: number }[];
    ignoredArgs?: { arg: string; reason: string }[];
    diagnostics?: Parameters<typeof ofCompiler>[0];
    log?: string;
    timings?: { queueMs: number; compileMs: number; totalMs: number };
    usage?: { memoryPeakBytes?: number; cpuMs?: number };
}

async function runCompiled(workspace: Workspace, output: Output, watch: Watcher, signal: AbortSignal): Promise<Verdict> {
    let finish!: (verdict: Verdict) => void;
    let fail!: (why: Error) => void;
    const finished = new Promise<Verdict>((resolve, reject) => {
        finish = resolve;
        fail = reject;
    });
    finished.catch(() => {});
    const display = displayOf(workspace);
    const costs: Cost[] = [];
    const listen = (message: Heard) => {
        switch (message.type) {
            case 'running': return watch.progress('Running');
            case 'waiting': return watch.waiting();
            case 'interrupt': return finish('stopped');
            case 'flooded': return fail(new Error('The program sent this page too many messages, and was stopped.'));
            case 'ended':
                // Said once more, it replaces what was said: the frame does not decide how long the list is.
                watch.cost([...costs, { label: 'ran', value: duration(Number(message.milliseconds)) },
                            ...(message.code === null ? [] : [{ label: 'exit', value: String(Number(message.code)) }])]);
                // A program on a page may go on, in callbacks.
                finish(message.code !== 0 ? 'failed' : display === 'page' ? 'open' : 'ok');
        }
    };
    const ready = output.open(listen);
    watch.progress('Compiling');
    const { status, answer } = await send<Compiled>(compileRequest(workspace), signal);
    await Promise.race([ready, until(signal)]);
    if (answer.timings) {
        if (answer.cached) costs.push({ label: 'compiled', value: 'cached' });
        else costs.push({ label: 'queue', value: duration(answer.timings.queueMs) },
                        { label: 'compiled', value: duration(answer.timings.compileMs) });
    }
    for (const one of answer.artifacts ?? []) costs.push({ label: one.name, value: amount(one.bytes) });
    costs.push(...usageCosts(answer.usage));
    watch.cost(costs);
    watch.problems(ofCompiler(answer.diagnostics ?? [], workspace.files));
    for (const one of answer.ignoredArgs ?? [])
        output.send({ type: 'write', stream: 'note', text: `${one.arg} was left out: ${one.reason}\n` });
    if (!answer.ok) {
        if (answer.code !== 'compile_error' && !answer.diagnostics) throw refusal(status, answer);
        const said = inEditorColumns(answer.error ?? answer.code ?? '', workspace.files);
        output.send({ type: 'write', stream: 'stderr', text: `${said}\n` });
        return 'failed';
    }
    if (answer.log) output.send({ type: 'write', stream: 'note', text: inEditorColumns(answer.log, workspace.files) });
    watch.progress('Loading');
    const artifacts = answer.artifacts ?? [];
    watch.artifacts(artifacts);
    const contents = await Promise.all(artifacts.map((one) => bytes(one.url, signal)));
    const files: Record<string, ArrayBuffer> = {};
    let js = '';
    artifacts.forEach((one, i) => {
        if (one.name === 'app.js') js = new TextDecoder().decode(contents[i]);
        else files[one.name] = contents[i]!;
    });
    output.start({
        type: 'start',
        module: { js, files, script: workspace.files.find((file) => file.path === scriptName)?.content },
        args: splitWords(workspace.programArgs),
        // Who types into a box means a line, also without its end.
        stdin: display === 'page' || /(^|\n)$/.test(workspace.stdin) ? workspace.stdin : `${workspace.stdin}\n`,
        display,
    });
    return Promise.race([finished, until(signal)]);
}

interface Executed {
    status: string;
    result?: unknown;
    message?: string;
    code?: string;
    stage?: string;
    file?: string;
    line?: number;
    column?: number;
    stdout?: string;
    stderr?: string;
    truncated?: boolean;
    usage?: { fuel: number; memory_bytes: number; microseconds: number };
}

async function runScript(workspace: Workspace, output: Output, watch: Watcher, signal: AbortSignal): Promise<Verdict> {
    const ready = output.open(() => {});
    watch.progress('Running');
    const { status, answer } = await send<Executed>(executeRequest(workspace), signal);
    await Promise.race([ready, until(signal)]);
    if (answer.usage) {
        watch.cost([{ label: 'fuel', value: number.format(answer.usage.fuel) },
                    { label: 'memory', value: amount(answer.usage.memory_bytes) },
                    { label: 'ran', value: duration(answer.usage.microseconds / 1000) }]);
    } else if (answer.status !== 'OK') {
        throw refusal(status, answer);
    }
    if (answer.stdout) output.send({ type: 'write', stream: 'stdout', text: answer.stdout });
    if (answer.stderr) output.send({ type: 'write', stream: 'stderr', text: answer.stderr });
    if (answer.truncated) output.send({ type: 'write', stream: 'note', text: '(there was more output)\n' });
    if (answer.status === 'OK') {
        output.send({ type: 'write', stream: 'note', text: '→ ' });
        output.send({ type: 'write', stream: 'stdout', text: `${JSON.stringify(answer.result, null, 2)}\n` });
        return 'ok';
    }
    const message = answer.message ?? answer.status;
    output.send({ type: 'write', stream: 'stderr', text: `${message}\n` });
    const main = workspace.files[0]!;
    if (answer.line) {
        const file = workspace.files.find((one) => one.path === answer.file) ?? main;
        const text = file.content.split('\n')[answer.line - 1] ?? '';
        watch.problems([{ file: file.path, line: answer.line, column: utf16Column(text, answer.column ?? 1),
                          severity: 'error', message, notes: [] }]);
    }
    return 'failed';
}

type Event =
    | { event: 'stdout'; text: string }
    | { event: 'stderr'; text: string }
    | { event: 'exit'; success: boolean; exit_code: number; verdict: string; execution_time_ms: number;
        queue_time_ms?: number; truncated?: boolean; usage?: { memoryPeakBytes?: number; cpuMs?: number } }
    | { event: 'error'; error?: string; code?: string };

async function runSandbox(workspace: Workspace, output: Output, watch: Watcher, signal: AbortSignal): Promise<Verdict> {
    const ready = output.open(() => {});
    watch.progress('Starting');
    const { status, answer } = await send<{ id?: string; error?: string }>(sandboxRequest(workspace), signal);
    if (!answer.id) throw refusal(status, answer);
    const id = answer.id;
    try {
        await Promise.race([ready, until(signal)]);
        watch.progress('Running');
        let said = '';
        for await (const one of lines<Event>(sandboxRunRequest(workspace, id), signal)) {
            if (one.event === 'stdout' || one.event === 'stderr') {
                output.send({ type: 'write', stream: one.event, text: one.text });
                if (one.event === 'stderr') said = (said + one.text).slice(-16384);
            } else if (one.event === 'exit') {
                watch.cost([
                    ...(one.queue_time_ms ? [{ label: 'queue', value: duration(one.queue_time_ms) }] : []),
                    { label: 'ran', value: duration(one.execution_time_ms) },
                    ...usageCosts(one.usage),
                    { label: one.verdict === 'exit' ? 'exit' : 'ended by', value: one.verdict === 'exit' ? String(one.exit_code) : one.verdict.replace('_', ' ') },
                ]);
                if (one.truncated) output.send({ type: 'write', stream: 'note', text: '(there was more output)\n' });
                if (!one.success) {
                    const summary = said.trim().split('\n').findLast((line) => /^\w*(Error|Exception)\b/.test(line)) ?? 'it failed here';
                    watch.problems(ofTrace(said, summary, workspace.files));
                }
                return one.success ? 'ok' : 'failed';
            } else {
                throw refusal(500, one);
            }
        }
        throw new Error('The server closed the connection before the program ended.');
    } finally {
        // Its program ends with the connection; its files, with this.
        void send({ method: 'DELETE', path: `/sandbox/${id}` }).catch(() => {});
    }
}

interface Deployed {
    deployment_id?: string;
    url?: string;
    status?: string;
    error?: string;
    code?: string;
    starts?: number;
}

// The deployment that runs, and what it was made of: with the same command, files are replaced and the program reloads.
let deployed: { id: string; key: string } | undefined;

export const serves = (): boolean => deployed !== undefined;

export function undeploy(keepalive = false): void {
    if (!deployed) return;
    const { id } = deployed;
    deployed = undefined;
    tell({ method: 'DELETE', path: `/faas/deployments/${id}` }, keepalive);
}

// What package.json asks for, as "name@range".
function packagesOf(files: Workspace['files']): string[] {
    try {
        const { dependencies } = JSON.parse(files.find((file) => file.path === 'package.json')?.content ?? '{}') as
            { dependencies?: Record<string, unknown> };
        return Object.entries(dependencies ?? {}).map(([name, range]) => `${name}@${String(range)}`);
    } catch {
        return [];  // the server says what is wrong with it
    }
}

async function runServer(workspace: Workspace, output: Output, watch: Watcher, signal: AbortSignal): Promise<Verdict> {
    const began = performance.now();
    const request = deployRequest(workspace);
    const { files, ...rest } = request.body as { files: Workspace['files'] };
    const key = JSON.stringify([rest, files.map((file) => file.path), files.find((file) => file.path === 'package.json')]);
    const ready = output.open(() => {});
    let id: string | undefined;
    let url = '';
    let refused: Refusal | undefined;
    if (deployed?.key === key) {
        watch.progress('Updating');
        id = deployed.id;
        const updated = await send<Deployed>({ method: 'PUT', path: `/faas/deployments/${id}/files`,
                                               body: { files, restart_dev_server: true } }, signal);
        if (updated.status === 404) id = undefined;
        else if (updated.status >= 400) refused = refusal(updated.status, updated.answer);
        else url = updated.answer.url ?? '';
    }
    if (!id) {
        undeploy();
        const packages = packagesOf(files);
        watch.progress(packages.length > 0 ? 'Installing packages, then starting' : 'Starting');
        if (packages.length > 0) {
            output.note(`The server installs ${packages.join(', ')}, unless it has them already. ` +
                        'This may take a minute. Then the program starts.');
        }
        const { status, answer } = await send<Deployed>(request, signal);
        if (answer.deployment_id) deployed = { id: answer.deployment_id, key };
        if (status >= 400 || !answer.deployment_id) {
            await ready;
            if (answer.deployment_id) await showLog(answer.deployment_id, output);
            undeploy();
            throw refusal(status, answer);
        }
        id = answer.deployment_id;
        url = answer.url ?? '';
    }
    await Promise.race([ready, until(signal)]);
    if (refused) {
        watch.notUpdated(refused);
    } else {
        watch.cost([{ label: 'started in', value: duration(performance.now() - began) }]);
        watch.progress('Serving');
        // Below a path the page's own origin will do; a host name of its own is another origin.
        const path = `/faas/${id}/`;
        watch.deployment(url !== '' && !new URL(url, location.href).pathname.startsWith('/faas/') ? `${url.replace(/\/$/, '')}/` : path);
    }
    try {
        for await (const line of lines<{ stream?: string; text?: string }>(
                 { method: 'GET', path: `/faas/deployments/${id}/logs?follow=1`, accept: 'application/x-ndjson' }, signal)) {
            if (typeof line.text === 'string')
                output.send({ type: 'write', stream: line.stream === 'stderr' ? 'stderr' : line.stream === 'stdout' ? 'stdout' : 'note',
                              text: `${line.text}\n` });
        }
        return 'ok';
    } finally {
        if (signal.aborted && signal.reason !== 'update') {
            undeploy();
            watch.deployment(null);
        }
    }
}

async function showLog(id: string, output: Output): Promise<void> {
    const { answer } = await send<{ lines?: { text: string; stream: string }[] }>(
        { method: 'GET', path: `/faas/deployments/${id}/logs?lines=200` });
    for (const line of answer.lines ?? [])
        output.send({ type: 'write', stream: line.stream === 'stderr' ? 'stderr' : 'stdout', text: `${line.text}\n` });
}
