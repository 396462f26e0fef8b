// A zip archive of files (APPNOTE.TXT 6.3.10: local headers, central directory, end record), deflated.

import type { File } from './workspace';

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; ++k) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    return c >>> 0;
});

function crc32(bytes: Uint8Array): number {
    let crc = 0xffffffff;
    for (const byte of bytes) crc = crcTable[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
    return (crc ^ 0xffffffff) >>> 0;
}

// Numbers of two and four bytes, little-endian.
function record(...fields: [value: number, bytes: 2 | 4][]): Uint8Array<ArrayBuffer> {
    const view = new DataView(new ArrayBuffer(fields.reduce((sum, [, bytes]) => sum + bytes, 0)));
    let at = 0;
    for (const [value, bytes] of fields) {
        if (bytes === 2) view.setUint16(at, value, true);
        else view.setUint32(at, value, true);
        at += bytes;
    }
    return new Uint8Array(view.buffer);
}

export async function makeZip(files: readonly File[]): Promise<Blob> {
    const now = new Date();
    const time = (now.getHours() << 11) | (now.getMinutes() << 5) | (now.getSeconds() >> 1);
    const date = ((now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate();
    const parts: BlobPart[] = [];
    const directory: BlobPart[] = [];
    let offset = 0;
    let directoryBytes = 0;
    for (const file of files) {
        const name = new TextEncoder().encode(file.path);
        const content = new TextEncoder().encode(file.content);
        const packed = new Uint8Array(await new Response(
            new Blob([content]).stream().pipeThrough(new CompressionStream('deflate-raw'))).arrayBuffer());
        // Version 2.0, names in UTF-8 (bit 11), deflate (8).
        const common: [number, 2 | 4][] = [[20, 2], [0x800, 2], [8, 2], [time, 2], [date, 2], [crc32(content), 4],
                                           [packed.length, 4], [content.length, 4], [name.length, 2], [0, 2]];
        const local = record([0x04034b50, 4], ...common);
        const central = record([0x02014b50, 4], [20, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]);
        parts.push(local, name, packed);
        directory.push(central, name);
        offset += local.length + name.length + packed.length;
        directoryBytes += central.length + name.length;
    }
    const end = record([0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [directoryBytes, 4],
                       [offset, 4], [0, 2]);
    return new Blob([...parts, ...directory, end], { type: 'application/zip' });
}
