// The editor: one view, and a state for each file, so that each keeps its own history. It lives in a shadow tree, where
// its styles are sheets that scripts construct: the page's policy allows no inline ones.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { cpp } from '@codemirror/lang-cpp';
import { javascript } from '@codemirror/lang-javascript';
import { python } from '@codemirror/lang-python';
import { bracketMatching, foldGutter, foldKeymap, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from '@codemirror/language';
import { lintGutter, lintKeymap, setDiagnostics, type Diagnostic } from '@codemirror/lint';
import { highlightSelectionMatches, searchKeymap } from '@codemirror/search';
import { EditorState, type Extension } from '@codemirror/state';
import { drawSelection, dropCursor, EditorView, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers, rectangularSelection } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import type { Problem } from './problems';

function languageOf(path: string): Extension {
    const ending = path.slice(path.lastIndexOf('.') + 1).toLowerCase();
    switch (ending) {
        case 'c': case 'h': case 'cc': case 'cpp': case 'cxx': case 'c++': case 'hh': case 'hpp': case 'hxx':
            return [cpp(), indentUnit.of('  ')];
        case 'js': case 'mjs': case 'cjs': case 'json':
            return [javascript(), indentUnit.of('  ')];
        case 'jsx':
            return [javascript({ jsx: true }), indentUnit.of('  ')];
        case 'ts': case 'mts': case 'cts':
            return [javascript({ typescript: true }), indentUnit.of('  ')];
        case 'tsx':
            return [javascript({ typescript: true, jsx: true }), indentUnit.of('  ')];
        case 'py':
            return [python(), indentUnit.of('    ')];
        default:
            return [];
    }
}

// The colours are the page's own properties, light and dark; see style.css.
const highlight = HighlightStyle.define([
    { tag: [tags.keyword, tags.controlKeyword, tags.modifier, tags.operatorKeyword], color: 'var(--code-keyword)' },
    { tag: [tags.string, tags.special(tags.string), tags.regexp], color: 'var(--code-string)' },
    { tag: [tags.number, tags.bool, tags.null, tags.atom], color: 'var(--code-number)' },
    { tag: [tags.comment, tags.meta], color: 'var(--code-comment)', fontStyle: 'italic' },
    { tag: [tags.processingInstruction], color: 'var(--code-keyword)' },
    { tag: [tags.typeName, tags.className, tags.namespace], color: 'var(--code-type)' },
    { tag: [tags.function(tags.variableName), tags.function(tags.propertyName)], color: 'var(--code-function)' },
    { tag: tags.invalid, color: 'var(--error)' },
]);

const theme = EditorView.theme({
    '&': { height: '100%', color: 'var(--text)', backgroundColor: 'var(--paper)', fontSize: '13.5px' },
    '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-2px' },
    '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.5' },
    '.cm-content': { caretColor: 'var(--text)', padding: '8px 0' },
    '.cm-cursor': { borderLeftColor: 'var(--text)' },
    '.cm-gutters': { backgroundColor: 'var(--paper)', color: 'var(--muted)', border: 'none' },
    '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'var(--line)' },
    '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground':
        { backgroundColor: 'var(--selection)' },
    '.cm-tooltip': { backgroundColor: 'var(--panel)', color: 'var(--text)', border: '1px solid var(--border)' },
    '.cm-tooltip .cm-completionMatchedText': { textDecoration: 'none', fontWeight: 'bold' },
    '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent)', color: 'var(--on-accent)' },
    '.cm-panels': { backgroundColor: 'var(--panel)', color: 'var(--text)' },
    '.cm-diagnostic': { whiteSpace: 'pre-wrap', fontFamily: 'var(--mono)', fontSize: '12.5px' },
    '.cm-diagnostic-error': { borderLeftColor: 'var(--error)' },
});

export class Editor {
    private view: EditorView;
    private states = new Map<string, EditorState>();
    private current = '';

    constructor(place: HTMLElement, private label: (path: string) => string, private changed: (path: string, text: string) => void) {
        const root = place.attachShadow({ mode: 'open' });
        const box = document.createElement('div');
        box.style.height = '100%';
        root.append(box);
        this.view = new EditorView({ parent: box, root });
    }

    private make(path: string, text: string): EditorState {
        return EditorState.create({
            doc: text,
            extensions: [
                lineNumbers(), lintGutter(), foldGutter(), highlightSpecialChars(), history(), drawSelection(), dropCursor(),
                indentOnInput(), bracketMatching(), closeBrackets(), autocompletion(), rectangularSelection(),
                highlightActiveLine(), highlightActiveLineGutter(), highlightSelectionMatches(),
                EditorState.allowMultipleSelections.of(true),
                syntaxHighlighting(highlight), theme, languageOf(path),
                // Escape, then Tab, leaves the editor (CodeMirror's own way out).
                keymap.of([...closeBracketsKeymap, ...defaultKeymap.filter((one) => one.key !== 'Mod-Enter'),
                           ...searchKeymap, ...historyKeymap, ...foldKeymap, ...completionKeymap, ...lintKeymap,
                           indentWithTab]),
                // It has the focus as it is; with an index, checks of access know it.
                EditorView.contentAttributes.of({ 'aria-label': this.label(path), tabindex: '0' }),
                EditorView.updateListener.of((update) => {
                    if (update.docChanged) this.changed(this.current, update.state.doc.toString());
                }),
            ],
        });
    }

    // All files anew.
    load(files: readonly { path: string; content: string }[]) {
        this.states.clear();
        this.current = '';
        for (const file of files) this.states.set(file.path, this.make(file.path, file.content));
    }

    show(path: string) {
        if (this.current !== '' && this.states.has(this.current)) this.states.set(this.current, this.view.state);
        this.current = path;
        this.view.setState(this.states.get(path) ?? this.make(path, ''));
    }

    // Replaces what has this name.
    add(path: string, text: string) {
        this.states.set(path, this.make(path, text));
        if (path === this.current) this.view.setState(this.states.get(path)!);
    }

    // Its language may be another one.
    rename(from: string, to: string) {
        const state = from === this.current ? this.view.state : this.states.get(from);
        this.states.delete(from);
        this.states.set(to, this.make(to, state?.doc.toString() ?? ''));
        if (this.current === from) this.current = '';
    }

    remove(path: string) {
        this.states.delete(path);
        if (this.current === path) this.current = '';
    }

    setProblems(problems: readonly Problem[]) {
        if (this.current !== '') this.states.set(this.current, this.view.state);
        for (const [path, state] of this.states) {
            const found = problems.filter((one) => one.file === path && one.line > 0)
                .map((one) => this.diagnosticOf(state, one))
                .sort((a, b) => a.from - b.from);
            const transaction = state.update(setDiagnostics(state, found));
            this.states.set(path, transaction.state);
        }
        if (this.current !== '') {
            const found = problems.filter((one) => one.file === this.current && one.line > 0)
                .map((one) => this.diagnosticOf(this.view.state, one))
                .sort((a, b) => a.from - b.from);
            this.view.dispatch(setDiagnostics(this.view.state, found));
        }
    }

    private diagnosticOf(state: EditorState, problem: Problem): Diagnostic {
        const line = state.doc.line(Math.min(Math.max(problem.line, 1), state.doc.lines));
        let from = line.from;
        let to = line.to;
        if (problem.column > 0) {
            from = Math.min(line.from + problem.column - 1, line.to);
            // The word that begins there, or one character.
            const word = state.doc.sliceString(from, line.to).match(/^[\p{L}\p{N}_$]+|^./u)?.[0] ?? '';
            to = from + word.length;
        } else {
            from += line.text.length - line.text.trimStart().length;
        }
        const notes = problem.notes.map((note) => `\n${note.file}:${note.line}:${note.column}: note: ${note.message}`);
        return { from, to, severity: problem.severity, message: problem.message + notes.join('') };
    }

    goTo(line: number, column: number) {
        const state = this.view.state;
        const there = state.doc.line(Math.min(Math.max(line, 1), state.doc.lines));
        const at = Math.min(there.from + Math.max(column - 1, 0), there.to);
        this.view.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: 'center' }) });
        this.view.focus();
    }

    focus() {
        this.view.focus();
    }
}
