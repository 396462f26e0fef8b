// A terminal whose keys make lines, as those of a tty in canonical mode do.

import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';

export interface Keys {
    line(text: string): void;
    end(): void;        // Ctrl-D at the start of a line
    interrupt(): void;  // Ctrl-C
}

const light = { background: '#ffffff', foreground: '#1f2328', cursor: '#1f2328', selectionBackground: '#b6d7ff',
                black: '#24292f', red: '#b3261e', green: '#116329', yellow: '#7a4b00', blue: '#0550ae', magenta: '#8250df',
                cyan: '#1b7c83', white: '#57606a', brightBlack: '#57606a', brightRed: '#a40e26', brightGreen: '#1a7f37',
                brightYellow: '#633c01', brightBlue: '#0969da', brightMagenta: '#8250df', brightCyan: '#1b7c83',
                brightWhite: '#24292f' };
const dark = { background: '#14171c', foreground: '#e3e6eb', cursor: '#e3e6eb', selectionBackground: '#2f5687',
               black: '#484f58', red: '#ff8078', green: '#4ac26b', yellow: '#e0b040', blue: '#79c0ff', magenta: '#d2a8ff',
               cyan: '#56d4dd', white: '#b1bac4', brightBlack: '#8b949e', brightRed: '#ffa198', brightGreen: '#6fdd8b',
               brightYellow: '#f2cc60', brightBlue: '#a5d6ff', brightMagenta: '#e2c5ff', brightCyan: '#7ee2e8',
               brightWhite: '#ffffff' };

export class LineTerminal {
    private terminal: Terminal;
    private line = '';
    private open = false;

    constructor(element: HTMLElement, private keys: Keys) {
        const scheme = matchMedia('(prefers-color-scheme: dark)');
        this.terminal = new Terminal({
            convertEol: true,
            cursorBlink: false,
            cursorInactiveStyle: 'none',
            fontFamily: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace',
            fontSize: 13.5,
            lineHeight: 1.25,
            screenReaderMode: true,
            scrollback: 5000,
            minimumContrastRatio: 4.5,
            theme: scheme.matches ? dark : light,
        });
        scheme.addEventListener('change', () => { this.terminal.options.theme = scheme.matches ? dark : light; });
        const fit = new FitAddon();
        this.terminal.loadAddon(fit);
        this.terminal.open(element);
        new ResizeObserver(() => fit.fit()).observe(element);
        fit.fit();
        // Tab moves the focus on, as everywhere; a key of the page's own is left to the page.
        this.terminal.attachCustomKeyEventHandler((event) => {
            if (event.key === 'Tab') return false;
            if (event.ctrlKey && event.key === 'Enter') return false;
            // Ctrl-C copies what is selected.
            return !(event.ctrlKey && event.key === 'c' && this.terminal.hasSelection());
        });
        this.terminal.onData((data) => this.typed(data));
        this.terminal.options.disableStdin = true;
    }

    write(text: string | Uint8Array) {
        this.terminal.write(text);
    }

    // Whether what is typed goes to a program.
    listen(open: boolean) {
        this.open = open;
        this.terminal.options.disableStdin = !open;
        this.line = '';
    }

    focus() {
        this.terminal.focus();
    }

    clear() {
        this.terminal.reset();
    }

    private typed(data: string) {
        if (!this.open || data.startsWith('\x1b')) return;
        for (const c of data.replaceAll('\r\n', '\r')) {
            if (c === '\r' || c === '\n') {
                const line = this.line;
                this.line = '';
                this.terminal.write('\r\n');
                this.keys.line(line);
            } else if (c === '\x7f' || c === '\b') {
                const characters = [...this.line];
                if (characters.pop() !== undefined) this.terminal.write('\b \b');
                this.line = characters.join('');
            } else if (c === '\x03') {
                this.terminal.write('^C\r\n');
                this.keys.interrupt();
            } else if (c === '\x04') {
                if (this.line === '') this.keys.end();
            } else if (c === '\x15') {
                this.terminal.write('\b \b'.repeat([...this.line].length));
                this.line = '';
            } else if (c >= ' ') {
                this.line += c;
                this.terminal.write(c);
            }
        }
    }
}
