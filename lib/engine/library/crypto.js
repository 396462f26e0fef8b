// crypto: https://w3c.github.io/webcrypto/, without what needs keys. Bytes come from the kernel for each call.
(function (kit) {
    'use strict';
    const { inside, ask, apply, typedTag, Uint8Array } = kit;
    const typed = Object.getPrototypeOf(Uint8Array.prototype);
    const getter = (name) => Object.getOwnPropertyDescriptor(typed, name).get;
    const bufferOf = getter('buffer'), offsetOf = getter('byteOffset'), sizeOf = getter('byteLength');
    const quota = 65536;
    class Crypto {
        getRandomValues(array) {
            const kind = apply(typedTag, array, []);
            if (kind === undefined || kind === 'Float16Array' || kind === 'Float32Array' || kind === 'Float64Array')
                throw new DOMException('The data argument must be an integer-type TypedArray', 'TypeMismatchError');
            const size = apply(sizeOf, array, []);
            if (size > quota)
                throw new DOMException('The requested length exceeds 65,536 bytes', 'QuotaExceededError');
            inside(ask.fillRandom, new Uint8Array(apply(bufferOf, array, []), apply(offsetOf, array, []), size));
            return array;
        }
        randomUUID() {
            const bytes = new Uint8Array(16);
            inside(ask.fillRandom, bytes);
            bytes[6] = (bytes[6] & 0x0f) | 0x40;
            bytes[8] = (bytes[8] & 0x3f) | 0x80;
            let text = '';
            for (let i = 0; i < 16; ++i) {
                if (i === 4 || i === 6 || i === 8 || i === 10) text += '-';
                text += (bytes[i] < 16 ? '0' : '') + apply(kit.numberToString, bytes[i], [16]);
            }
            return text;
        }
    }
    Object.defineProperty(Crypto.prototype, Symbol.toStringTag, { value: 'Crypto', configurable: true });
    return { __proto__: null, Crypto, crypto: new Crypto() };
})
