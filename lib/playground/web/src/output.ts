// The page's side of the frame in which programs run and print.

import type { FromFrame, Printed, Start, ToFrame } from './protocol';

// 'flooded': the frame was thrown away, as it said more than any program has to.
export type Heard = FromFrame | { type: 'flooded' };

export interface Listener {
    (message: Heard): void;
}

// One for each line that a program waits for, some for what it prints (frame.ts), and a few more.
const maxMessages = 100_000;
// Characters of what is printed, as many as a program may print bytes.
const maxKept = 4 * 1024 * 1024;
// What a piece counts for besides its characters.
const pieceCost = 16;

export class Output {
    private frame?: HTMLIFrameElement;
    private port?: MessagePort;
    private printed: Printed[] = [];
    private kept = 0;

    constructor(private place: HTMLElement, private url: string) {}

    // A new frame, empty, without anything of the run before. Answers when it is ready.
    open(listener: Listener): Promise<void> {
        this.close();
        const frame = document.createElement('iframe');
        // Opaque origin, no navigation of this page, no windows, no forms, no downloads.
        frame.setAttribute('sandbox', 'allow-scripts allow-pointer-lock');
        frame.setAttribute('referrerpolicy', 'no-referrer');
        frame.title = 'Output';
        frame.src = this.url;
        const channel = new MessageChannel();
        let messages = 0;
        this.frame = frame;
        this.port = channel.port1;
        return new Promise((resolve, reject) => {
            channel.port1.onmessage = ({ data }: MessageEvent<FromFrame>) => {
                // A frame that was thrown away has no say.
                if (this.frame !== frame || typeof data !== 'object' || data === null) return;
                if (++messages > maxMessages) {
                    this.stop();
                    return listener({ type: 'flooded' });
                }
                if (data.type === 'ready') resolve();
                else if (data.type === 'printed') this.heard(data.pieces);
                else listener(data);
            };
            frame.onload = () => {
                frame.onload = null;
                // Its origin is opaque, so that it has no name to send this to. It is the frame's first document.
                frame.contentWindow?.postMessage('', '*', [channel.port2]);
            };
            frame.onerror = () => reject(new Error('the frame could not be loaded'));
            this.place.replaceChildren(frame);
        });
    }

    send(message: ToFrame) {
        this.port?.postMessage(message);
        if (message.type === 'write') this.keep(message.text, message.stream);
    }

    // On a line of its own.
    note(text: string) {
        const last = this.printed.at(-1)?.text ?? '\n';
        this.send({ type: 'write', stream: 'note', text: `${last.endsWith('\n') ? '' : '\n'}${text}\n` });
    }

    // Ends what runs in the frame, and the frame with it, as its program may listen to nothing any more. What was
    // printed stays to be read, in a new one.
    stop() {
        this.renew();
        this.note('(stopped)');
    }

    // The same without a word.
    renew() {
        if (!this.frame) return;
        const printed = this.printed;
        this.open(() => {}).catch(() => {});
        // The port keeps them until the frame is there.
        for (const one of printed) this.send({ type: 'write', ...one });
    }

    // Of a stranger's program, perhaps in the frame's name.
    private heard(pieces: unknown) {
        if (!Array.isArray(pieces)) return;
        for (const one of pieces as (Partial<Printed> | null)[])
            if (typeof one?.text === 'string') this.keep(one.text, one.stream === 'stderr' ? 'stderr' : 'stdout');
    }

    private keep(text: string, stream: Printed['stream']) {
        const piece = text.slice(0, Math.max(maxKept - this.kept, 0));
        if (piece === '') return;
        const last = this.printed.at(-1);
        this.kept += piece.length;
        if (last?.stream === stream) {
            last.text += piece;
        } else {
            this.printed.push({ text: piece, stream });
            this.kept += pieceCost;
        }
    }

    start(message: Start) {
        this.port?.postMessage(message, Object.values(message.module.files));
    }

    // A page of a deployment instead, which its program sends.
    show(url: string) {
        const frame = document.createElement('iframe');
        // No dialogs, windows and downloads: a link's program may be any. Its address opens it whole.
        frame.setAttribute('sandbox', 'allow-scripts allow-forms');
        frame.setAttribute('referrerpolicy', 'no-referrer');
        frame.title = 'Page of the deployment';
        frame.src = url;
        return frame;
    }

    close() {
        this.port?.close();
        this.frame?.remove();
        this.frame = undefined;
        this.port = undefined;
        this.printed = [];
        this.kept = 0;
    }
}
