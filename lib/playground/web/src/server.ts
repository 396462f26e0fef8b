// What is sent to the server, and its answers.

import type { Request } from './requests';

// The key that was typed in. It is here alone: no storage, cookie or link has it, and a reload forgets it.
let key = '';

export function useKey(given: string): void {
    key = given;
}

export const hasKey = (): boolean => key !== '';

// As the server reads one (RFC 6750).
export const isKey = (text: string): boolean => /^[A-Za-z0-9._~+/-]+=*$/.test(text) && text.length <= 512;

const credentials = (): Record<string, string> => (key === '' ? {} : { Authorization: `Bearer ${key}` });

export class Refusal extends Error {
    constructor(message: string, readonly status: number, readonly code: string) {
        super(message);
    }
}

// `keepalive`: it goes out although the page is left.
async function ask(request: Request, signal?: AbortSignal, keepalive = false): Promise<Response> {
    const headers = credentials();
    if (request.body !== undefined) headers['Content-Type'] = 'application/json';
    if (request.accept !== undefined) headers.Accept = request.accept;
    return fetch(request.path, {
        method: request.method,
        headers,
        body: request.body === undefined ? undefined : JSON.stringify(request.body),
        signal,
        keepalive,
        credentials: 'omit',
    });
}

// Nobody waits for the answer.
export function tell(request: Request, keepalive: boolean): void {
    ask(request, undefined, keepalive).catch(() => {});
}

// The answer's JSON, whatever its status: 400 of /compile and /execute tell how a program failed.
export async function send<T>(request: Request, signal?: AbortSignal): Promise<{ status: number; answer: T }> {
    const response = await ask(request, signal);
    const text = await response.text();
    try {
        return { status: response.status, answer: (text === '' ? {} : JSON.parse(text)) as T };
    } catch {
        throw new Refusal(`The server answered ${response.status}, and no JSON.`, response.status, '');
    }
}

export function refusal(status: number, answer: { error?: unknown; message?: unknown; code?: unknown }): Refusal {
    const why = [answer.error, answer.message].find((one) => typeof one === 'string') as string | undefined;
    return new Refusal(why ?? `The server answered ${status}.`, status, String(answer.code ?? ''));
}

// The lines of an answer of application/x-ndjson, as they come.
export async function* lines<T>(request: Request, signal?: AbortSignal): AsyncGenerator<T> {
    const response = await ask(request, signal);
    if (!response.ok || !response.body) throw refusal(response.status, await response.json().catch(() => ({})));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const pieces = (rest + value).split('\n');
        rest = pieces.pop()!;
        for (const piece of pieces) if (piece !== '') yield JSON.parse(piece) as T;
    }
}

export async function bytes(path: string, signal?: AbortSignal): Promise<ArrayBuffer> {
    const response = await ask({ method: 'GET', path }, signal);
    if (!response.ok) throw new Refusal(`${path}: the server answered ${response.status}.`, response.status, '');
    return response.arrayBuffer();
}
