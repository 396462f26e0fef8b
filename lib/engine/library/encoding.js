// TextEncoder, TextDecoder: https://encoding.spec.whatwg.org/. UTF-8, UTF-16 and ISO-8859-1's superset are known.
(function () {
    'use strict';
    const labels = { __proto__: null };
    const name = (encoding, words) => { for (const one of words.split(' ')) labels[one] = encoding; };
    name('utf-8', 'utf-8 utf8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8');
    name('utf-16le', 'utf-16 utf-16le ucs-2 iso-10646-ucs-2 unicode unicodefeff csunicode');
    name('utf-16be', 'utf-16be unicodefffe');
    name('windows-1252', 'latin1 ascii us-ascii iso-8859-1 iso8859-1 iso88591 iso_8859-1 l1 cp1252 windows-1252 x-cp1252 cp819 ibm819 csisolatin1 ansi_x3.4-1968 iso-ir-100 iso_8859-1:1987');
    const high = '\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178';
    const block = 4096;
    const custom = Symbol.for('nodejs.util.inspect.custom');

    class TextEncoder {
        get encoding() { return 'utf-8'; }
        encode(text = '') {
            text = `${text}`;
            const bytes = new Uint8Array(text.length * 3);
            const { written } = this.encodeInto(text, bytes);
            return bytes.slice(0, written);
        }
        encodeInto(text, into) {
            text = `${text}`;
            if (!(into instanceof Uint8Array)) throw new TypeError('The "dest" argument must be a Uint8Array');
            let read = 0, at = 0;
            const { length } = into;
            while (read < text.length) {
                let one = text.charCodeAt(read);
                let units = 1;
                if (one >= 0xd800 && one <= 0xdfff) {
                    const next = read + 1 < text.length ? text.charCodeAt(read + 1) : 0;
                    if (one <= 0xdbff && next >= 0xdc00 && next <= 0xdfff) {
                        one = 0x10000 + ((one - 0xd800) << 10) + next - 0xdc00;
                        units = 2;
                    } else {
                        one = 0xfffd;
                    }
                }
                const size = one < 0x80 ? 1 : one < 0x800 ? 2 : one < 0x10000 ? 3 : 4;
                if (at + size > length) break;
                if (size === 1) {
                    into[at++] = one;
                } else {
                    let shift = 6 * (size - 1);
                    into[at++] = (0xf00 >> size & 0xff) | one >> shift;
                    while (shift > 0) {
                        shift -= 6;
                        into[at++] = 0x80 | (one >> shift & 0x3f);
                    }
                }
                read += units;
            }
            return { read, written: at };
        }
        [custom](depth, options, inspect) {
            if (typeof depth === 'number' && depth < 0) return this;
            return inspect({ encoding: this.encoding }, options);
        }
    }

    class TextDecoder {
        #encoding; #fatal; #ignoreBOM;
        #left = [];       // bytes of a character that is not complete
        #begun = false;   // whether a byte order mark can no longer come
        constructor(label = 'utf-8', options = {}) {
            const encoding = labels[`${label}`.replace(/^[\t\n\f\r ]+|[\t\n\f\r ]+$/g, '').toLowerCase()];
            if (encoding === undefined) throw new RangeError(`The "${label}" encoding is not supported`);
            this.#encoding = encoding;
            this.#fatal = !!options?.fatal;
            this.#ignoreBOM = !!options?.ignoreBOM;
        }
        get encoding() { return this.#encoding; }
        get fatal() { return this.#fatal; }
        get ignoreBOM() { return this.#ignoreBOM; }
        [custom](depth, options, inspect) {
            if (!(#encoding in this)) return this;
            const { name } = this.constructor;
            if (typeof depth === 'number' && depth < 0) return '[' + name + ']';
            const { encoding, fatal, ignoreBOM } = this;
            return name + ' ' + inspect({ encoding, fatal, ignoreBOM }, options);
        }
        decode(input, options) {
            const stream = !!options?.stream;
            let bytes;
            if (input === undefined) bytes = new Uint8Array(0);
            else if (ArrayBuffer.isView(input)) bytes = new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
            else if (input instanceof ArrayBuffer || input instanceof SharedArrayBuffer) bytes = new Uint8Array(input);
            else throw new TypeError('The "list" argument must be an instance of ArrayBuffer or ArrayBufferView');
            if (this.#left.length > 0) {
                const all = new Uint8Array(this.#left.length + bytes.length);
                all.set(this.#left);
                all.set(bytes, this.#left.length);
                bytes = all;
                this.#left = [];
            }
            let text;
            try {
                text = this.#encoding === 'utf-8' ? this.#utf8(bytes, stream)
                    : this.#encoding === 'windows-1252' ? this.#single(bytes) : this.#utf16(bytes, stream);
            } catch (error) {
                this.#left = [];
                this.#begun = false;
                throw error;
            }
            if (text !== '') {
                if (!this.#begun && !this.#ignoreBOM && this.#encoding !== 'windows-1252' && text.charCodeAt(0) === 0xfeff)
                    text = text.slice(1);
                this.#begun = true;
            }
            if (!stream) {
                this.#begun = false;
                this.#left = [];
            }
            return text;
        }
        #bad() {
            if (this.#fatal) throw new TypeError(`The encoded data was not valid for encoding ${this.#encoding}`);
            return 0xfffd;
        }
        #collect(units, more) {
            if (units.length < block && !more) return '';
            const text = String.fromCharCode.apply(null, units);
            units.length = 0;
            return text;
        }
        #single(bytes) {
            let text = '';
            const units = [];
            for (const one of bytes) {
                units.push(one >= 0x80 && one < 0xa0 ? high.charCodeAt(one - 0x80) : one);
                text += this.#collect(units, false);
            }
            return text + this.#collect(units, true);
        }
        #utf8(bytes, stream) {
            let text = '';
            const units = [];
            for (let i = 0; i < bytes.length;) {
                const first = bytes[i];
                let size = first < 0x80 ? 1 : first >= 0xc2 && first <= 0xdf ? 2 : first >= 0xe0 && first <= 0xef ? 3
                    : first >= 0xf0 && first <= 0xf4 ? 4 : 0;
                let one = size === 1 ? first : size === 0 ? 0 : first & (0x7f >> size);
                if (size < 2) {
                    units.push(size === 0 ? this.#bad() : one);
                    ++i;
                } else {
                    let at = i + 1;
                    let low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
                    let top = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
                    let fine = true;
                    for (; at < i + size; ++at) {
                        if (at >= bytes.length) {
                            fine = false;
                            break;
                        }
                        if (bytes[at] < low || bytes[at] > top) {
                            fine = false;
                            break;
                        }
                        one = one << 6 | (bytes[at] & 0x3f);
                        low = 0x80;
                        top = 0xbf;
                    }
                    if (fine) {
                        if (one > 0xffff) units.push(0xd7c0 + (one >> 10), 0xdc00 | (one & 0x3ff));
                        else units.push(one);
                    } else if (at >= bytes.length && stream) {
                        this.#left = [...bytes.subarray(i)];
                        break;
                    } else {
                        units.push(this.#bad());
                    }
                    i = at;
                }
                text += this.#collect(units, false);
            }
            return text + this.#collect(units, true);
        }
        #utf16(bytes, stream) {
            const swap = this.#encoding === 'utf-16be' ? 1 : 0;
            let text = '';
            const units = [];
            let i = 0;
            for (; i + 1 < bytes.length; i += 2) {
                const one = bytes[i + swap] | bytes[i + 1 - swap] << 8;
                if (one >= 0xd800 && one <= 0xdbff) {
                    if (i + 3 >= bytes.length) {
                        if (stream) break;
                        units.push(this.#bad());
                        i = bytes.length;
                        break;
                    }
                    const next = bytes[i + 2 + swap] | bytes[i + 3 - swap] << 8;
                    if (next >= 0xdc00 && next <= 0xdfff) {
                        units.push(one, next);
                        i += 2;
                    } else {
                        units.push(this.#bad());
                    }
                } else {
                    units.push(one >= 0xdc00 && one <= 0xdfff ? this.#bad() : one);
                }
                text += this.#collect(units, false);
            }
            if (i < bytes.length) {
                if (stream) this.#left = [...bytes.subarray(i)];
                else units.push(this.#bad());
            }
            return text + this.#collect(units, true);
        }
    }
    for (const one of [TextEncoder, TextDecoder])
        Object.defineProperty(one.prototype, Symbol.toStringTag, { value: one.name, configurable: true });
    return { __proto__: null, TextEncoder, TextDecoder };
})
