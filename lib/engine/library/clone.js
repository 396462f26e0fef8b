// structuredClone: https://html.spec.whatwg.org/multipage/structured-data.html#structured-cloning
(function (kit) {
    'use strict';
    const { inside, ask, apply } = kit;
    const errors = { __proto__: null, Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
    const views = { __proto__: null, Uint8Array, Int8Array, Uint8ClampedArray, Uint16Array, Int16Array, Uint32Array,
        Int32Array, Float16Array: globalThis.Float16Array, Float32Array, Float64Array, BigInt64Array, BigUint64Array };
    const refuse = (what) => { throw new DOMException(`${what} could not be cloned.`, 'DataCloneError'); };
    const put = (object, key, value) =>
        Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });

    function clone(value, seen) {
        if (typeof value === 'symbol') refuse(String(value));
        if (typeof value === 'function') refuse(Function.prototype.toString.call(value));
        if (typeof value !== 'object' || value === null) return value;
        if (seen.has(value)) return seen.get(value);
        const keep = (made) => (seen.set(value, made), made);
        const members = (made) => {
            for (const key of Object.keys(value)) put(made, key, clone(value[key], seen));
            return made;
        };
        if (inside(ask.proxyTarget, value) !== undefined) refuse('#<Object>');
        const kind = Array.isArray(value) ? 'Array' : inside(ask.className, value);
        switch (kind) {
            case 'Boolean': return keep(Object(apply(kit.booleanValue, value, [])));
            case 'Number': return keep(Object(apply(kit.numberValue, value, [])));
            case 'String': return keep(Object(apply(kit.stringValue, value, [])));
            case 'BigInt': return keep(Object(apply(kit.bigintValue, value, [])));
            case 'Date': return keep(new Date(apply(kit.dateValue, value, [])));
            case 'RegExp': return keep(new RegExp(value.source, value.flags));
            case 'Array': {
                const made = keep([]);
                made.length = value.length;
                return members(made);
            }
            case 'Map': {
                const made = keep(new Map());
                const entries = [];
                apply(kit.mapForEach, value, [(one, key) => entries.push(key, one)]);
                for (let i = 0; i < entries.length; i += 2) {
                    const key = clone(entries[i], seen);
                    made.set(key, clone(entries[i + 1], seen));
                }
                return made;
            }
            case 'Set': {
                const made = keep(new Set());
                const entries = [];
                apply(kit.setForEach, value, [(one) => entries.push(one)]);
                for (const one of entries) made.add(clone(one, seen));
                return made;
            }
            case 'ArrayBuffer': return keep(value.slice(0));
            case 'SharedArrayBuffer': return keep(value);
            case 'DataView':
                return keep(new DataView(clone(value.buffer, seen), value.byteOffset, value.byteLength));
            case 'Error': {
                const name = errors[value.name] === undefined ? 'Error' : value.name;
                const error = keep(new errors[name]());
                const message = Object.getOwnPropertyDescriptor(value, 'message');
                const hide = (key, text) =>
                    Object.defineProperty(error, key, { value: text, writable: true, enumerable: false, configurable: true });
                if (message !== undefined && 'value' in message) hide('message', String(message.value));
                if (typeof value.stack === 'string') hide('stack', value.stack);
                if (Object.hasOwn(value, 'cause')) hide('cause', clone(value.cause, seen));
                return error;
            }
            case 'DOMException': return keep(new DOMException(value.message, value.name));
            case 'Object': case 'Arguments': return members(keep({}));
            default: {
                if (views[kind] !== undefined)
                    return keep(new views[kind](clone(value.buffer, seen), value.byteOffset, value.length));
                return refuse(`#<${kind}>`);
            }
        }
    }

    function structuredClone(value, options) {
        if (arguments.length === 0) throw new TypeError("The \"value\" argument must be specified");
        const seen = new Map();
        const transfer = options?.transfer === undefined ? [] : [...options.transfer];
        const moved = new Set();
        for (const one of transfer) {
            if (!(one instanceof ArrayBuffer)) throw new DOMException('Value not transferable', 'DataCloneError');
            if (moved.has(one) || one.detached)
                throw new DOMException('An ArrayBuffer is detached and could not be cloned.', 'DataCloneError');
            moved.add(one);
        }
        const made = clone(value, seen);
        for (const one of transfer) one.transfer();
        return made;
    }
    return { __proto__: null, structuredClone };
})
