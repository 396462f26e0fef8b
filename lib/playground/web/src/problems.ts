// Problems in files: what a compiler, an interpreter or a program's trace says, as places in the workspace.

import type { File } from './workspace';

export type Severity = 'error' | 'warning' | 'info';

export interface Problem {
    file: string;
    line: number;    // from 1; 0: no place
    column: number;  // UTF-16 code units from 1; 0: the whole line
    severity: Severity;
    message: string;
    notes: Place[];
}

export interface Place {
    file: string;
    line: number;
    column: number;
    message: string;
}

interface Diagnostic extends Place {
    columnUtf16?: number;
    severity: string;
    notes?: (Place & { columnUtf16?: number })[];
    origin?: (Place & { columnUtf16?: number }) | null;
}

// Of the answer of /compile.
export function ofCompiler(diagnostics: readonly Diagnostic[], files: readonly File[]): Problem[] {
    const ours = new Set(files.map((file) => file.path));
    const problems: Problem[] = [];
    for (const one of diagnostics) {
        // The list has each note a second time.
        if (one.severity === 'note' || one.severity === 'remark') continue;
        // An error inside a header of the library is shown at the line that used it.
        const place = ours.has(one.file) || !one.origin ? one : one.origin;
        problems.push({
            file: place.file,
            line: place.line,
            column: place.columnUtf16 ?? place.column,
            severity: one.severity === 'warning' ? 'warning' : 'error',
            message: place === one ? one.message : `${one.message} (in ${one.file}:${one.line})`,
            notes: (one.notes ?? []).map(({ file, line, column, columnUtf16, message }) =>
                ({ file, line, column: columnUtf16 ?? column, message })),
        });
    }
    return problems;
}

// Of the stack trace of a failed script or program: the innermost place in a file of the workspace.
export function ofTrace(text: string, message: string, files: readonly File[]): Problem[] {
    const ours = new Map(files.map((file) => [file.path, file]));
    const places: Place[] = [];
    // Python: File "/tmp/main.py", line 3 — Node.js and Bun: /tmp/index.js:3:5 or file:///tmp/index.js:3
    for (const found of text.matchAll(/File "(?:\/tmp\/)?([^"\n]+)", line (\d+)|(?:\/tmp\/|\/srv\/app\/|\((?!\/))([^\s():"']+):(\d+)(?::(\d+))?/g)) {
        const file = found[1] ?? found[3]!;
        if (ours.has(file))
            places.push({ file, line: Number(found[2] ?? found[4]), column: Number(found[5] ?? 0), message: '' });
    }
    // Python names the innermost call last; Node.js repeats the first place with its column.
    const place = /^Traceback|^  File "/m.test(text) ? places.at(-1) : places.find((one) => one.column > 0) ?? places[0];
    if (!place) return [];
    return [{ ...place, severity: 'error', message, notes: [] }];
}

// Code units from 1 of a column in bytes of UTF-8 from 1.
export function utf16Column(line: string, column: number): number {
    let bytes = 1;
    let units = 1;
    for (const c of line) {
        if (bytes >= column) break;
        const code = c.codePointAt(0)!;
        bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        units += c.length;
    }
    return units;
}

// What a compiler said, with columns as the list of problems and the editor have them: it counts bytes.
export function inEditorColumns(text: string, files: readonly File[]): string {
    const ours = new Map(files.map((file) => [file.path, file.content.split('\n')]));
    return text.replace(/^(.+?):(\d+):(\d+)(?=: )/gm, (all, path: string, line: string, column: string) => {
        const source = ours.get(path)?.[Number(line) - 1];
        return source === undefined ? all : `${path}:${line}:${utf16Column(source, Number(column))}`;
    });
}
