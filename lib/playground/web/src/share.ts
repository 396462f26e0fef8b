// A workspace in a URL's fragment, which browsers send to nobody: "#w=" and base64url of deflated JSON.

import { limits, readWorkspace, type Workspace } from './workspace';

const prefix = '#w=';
// JSON may take six bytes for a character.
const maxJsonBytes = 8 * limits.bytes;

async function through(bytes: Uint8Array<ArrayBuffer>, stream: CompressionStream | DecompressionStream, most: number) {
    const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    let total = 0;
    for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        total += value.length;
        if (total > most) {
            await reader.cancel();
            throw new Error('too large');
        }
        pieces.push(value as Uint8Array<ArrayBuffer>);
    }
    return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

export async function toFragment(workspace: Workspace): Promise<string> {
    const json = new TextEncoder().encode(JSON.stringify(workspace));
    const packed = await through(json, new CompressionStream('deflate-raw'), Infinity);
    let binary = '';
    for (let i = 0; i < packed.length; i += 0x8000) binary += String.fromCharCode(...packed.subarray(i, i + 0x8000));
    return prefix + btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

export function isShared(fragment: string): boolean {
    return fragment.startsWith(prefix);
}

// Answers undefined if the fragment holds no workspace: cut off, altered, or too large once it is unpacked.
export async function fromFragment(fragment: string): Promise<Workspace | undefined> {
    try {
        const binary = atob(fragment.slice(prefix.length).replaceAll('-', '+').replaceAll('_', '/'));
        const packed = Uint8Array.from(binary, (c) => c.charCodeAt(0));
        const json = await through(packed, new DecompressionStream('deflate-raw'), maxJsonBytes);
        return readWorkspace(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json)));
    } catch {
        return undefined;
    }
}
