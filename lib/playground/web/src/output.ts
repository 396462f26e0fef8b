// The page's side of the frame in which programs run and print.

import type { FromFrame, Start, ToFrame } from './protocol';

// 'flooded': the frame was thrown away, as it said more than any program has to.
export type Heard = FromFrame | { type: 'flooded' };

export interface Listener {
    (message: Heard): void;
}

// One for each line that a program waits for, and a few more.
const maxMessages = 100_000;

export class Output {
    private frame?: HTMLIFrameElement;
    private port?: MessagePort;

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
                    this.close();
                    return listener({ type: 'flooded' });
                }
                if (data.type === 'ready') resolve();
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
    }
}
