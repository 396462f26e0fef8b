// Runs once, before the boot image is taken: puts `console`, `performance` and the names of the web's interface in
// place. Called with two native functions: `sink(level, text)` hands a finished record to the host, `inside(what,
// …)` asks it for what JavaScript cannot know (interpreter.cpp, enum question). Returns `turn`, see library/timers.js.
//
// What a script can do without is not here but in library/*.js: it is loaded as bytecode when it is first touched,
// because every run pays for the size of the boot image.
//
// A script may change every object it can reach, the prototypes of ours included. So nothing here looks anything up
// at run time that a script could have replaced: intrinsics are captured now, and lists are arrays without a
// prototype (a setter on Array.prototype would see what is stored). What a script can do is make its own values
// misbehave while they are rendered, and that is caught.
(function (sink, inside) {
    'use strict';
    const { stringify } = JSON;
    const { apply, ownKeys } = Reflect;
    const { isArray } = Array;
    const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf, setPrototypeOf } = Object;
    const ErrorConstructor = Error;
    const hasInstance = Function.prototype[Symbol.hasInstance];
    const symbolToString = Symbol.prototype.toString;
    const { includes, toWellFormed } = String.prototype;
    const { now: dateNow } = Date;
    const { now: performanceNow } = performance;
    const oldPerformance = performance;

    const ask = { __proto__: null, proxyTarget: 0, className: 1, promiseState: 2, promiseResult: 3, load: 4,
        fillRandom: 5, timerNow: 6, timerAdvance: 7, wantsValues: 8,
        iteratorState: 9, iteratorSource: 10, iteratorKey: 11, toolCall: 12 };

    // For the library: what it needs of the language as it was before any script ran.
    const kit = {
        __proto__: null, ask, inside, apply, ownKeys, isArray, defineProperty, getOwnPropertyDescriptor,
        getPrototypeOf, setPrototypeOf, stringify, performanceNow: () => apply(performanceNow, oldPerformance, []),
        keys: Object.keys, getOwnPropertySymbols: Object.getOwnPropertySymbols,
        getOwnPropertyNames: Object.getOwnPropertyNames, objectProto: Object.prototype,
        errorProto: Error.prototype, aggregateProto: AggregateError.prototype, hasInstance, symbolToString,
        stringProto: { __proto__: null, ...methodsOf(String.prototype) },
        arrayProto: { __proto__: null, ...methodsOf(Array.prototype) },
        hasOwn: Object.hasOwn, isEnumerable: Object.prototype.propertyIsEnumerable,
        functionToString: Function.prototype.toString, numberToString: Number.prototype.toString,
        numberValue: Number.prototype.valueOf, booleanValue: Boolean.prototype.valueOf,
        stringValue: String.prototype.valueOf, symbolValue: Symbol.prototype.valueOf,
        bigintValue: BigInt.prototype.valueOf,
        regexpToString: RegExp.prototype.toString, regexpExec: RegExp.prototype.exec,
        dateToISOString: Date.prototype.toISOString, dateToString: Date.prototype.toString,
        dateValue: Date.prototype.valueOf,
        errorToString: Error.prototype.toString, mapForEach: Map.prototype.forEach, setForEach: Set.prototype.forEach,
        mapSize: getOwnPropertyDescriptor(Map.prototype, 'size').get,
        setSize: getOwnPropertyDescriptor(Set.prototype, 'size').get,
        mapGet: Map.prototype.get, mapSet: Map.prototype.set, Map,
        typedTag: getOwnPropertyDescriptor(getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get,
        typedLength: getOwnPropertyDescriptor(getPrototypeOf(Uint8Array.prototype), 'length').get,
        bufferLength: getOwnPropertyDescriptor(ArrayBuffer.prototype, 'byteLength').get,
        sharedLength: getOwnPropertyDescriptor(SharedArrayBuffer.prototype, 'byteLength').get,
        viewBuffer: getOwnPropertyDescriptor(DataView.prototype, 'buffer').get,
        viewLength: getOwnPropertyDescriptor(DataView.prototype, 'byteLength').get,
        viewOffset: getOwnPropertyDescriptor(DataView.prototype, 'byteOffset').get,
        Uint8Array, RegExp, Symbol, Object, Number, BigInt, String, parseInt, parseFloat, Math, ErrorConstructor,
        fromCharCode: String.fromCharCode,
    };
    function methodsOf(prototype) {
        const made = { __proto__: null };
        for (const key of Object.getOwnPropertyNames(prototype))
            if (typeof prototype[key] === 'function') made[key] = prototype[key];
        return made;
    }

    // A file of library/, by its place in the host's list. What it returns is kept.
    const loaded = setPrototypeOf([], null);
    const library = { __proto__: null, inspect: 0, timers: 1, events: 2, encoding: 3, url: 4, clone: 5, crypto: 6,
        tools: 7 };
    function load(index) {
        const made = loaded[index] ?? inside(ask.load, index)(kit);
        loaded[index] = made;
        return made;
    }
    kit.load = load;
    kit.library = library;

    const isError = (value) => apply(hasInstance, ErrorConstructor, [value]);

    // As JSON.stringify, but for what it drops, refuses or makes an empty object of: functions, symbols, bigints, NaN,
    // undefined, maps, cycles.
    function stringifyLoosely(value) {
        let above = null; // the objects around the current one: { __proto__: null, object, above }
        return stringify(value, function (key, inner) {
            if (typeof inner !== 'object' || inner === null) return inner === undefined ? 'undefined' : plain(inner);
            if (isOpaque(inner)) return load(library.inspect).inspect(inner);
            if (isError(inner)) return errorText(inner);
            while (above !== null && above.object !== this) above = above.above;
            for (let one = above; one !== null; one = one.above)
                if (one.object === inner) return '[Circular]';
            above = { __proto__: null, object: inner, above };
            return inner;
        });
    }

    // Primitives and functions: what JSON carries as it is, the rest as a string.
    function plain(value) {
        switch (typeof value) {
            case 'bigint': return '' + value + 'n';
            case 'symbol': return apply(symbolToString, value, []);
            case 'function': {
                const name = value.name;
                return typeof name === 'string' && name !== '' ? '[Function: ' + name + ']' : '[Function]';
            }
            case 'number':
                return value !== value || value === Infinity || value === -Infinity ? '' + value : value;
            default: return value;
        }
    }

    function errorText(error) {
        const { name, message, stack } = error;
        const head = typeof name === 'string' ? (typeof message === 'string' && message !== '' ? name + ': ' + message : name)
            : typeof message === 'string' ? message : 'Error';
        return typeof stack === 'string' && stack !== '' ? head + '\n' + stack : head;
    }

    // JSON makes an empty object of these.
    function isOpaque(value) {
        switch (inside(ask.className, value)) {
            case 'Map': case 'Set': case 'RegExp': case 'WeakMap': case 'WeakSet': case 'WeakRef': case 'Promise':
            case 'ArrayBuffer': case 'SharedArrayBuffer': case 'DataView': case 'Generator':
            case 'Map Iterator': case 'Set Iterator': return true;
            default: return false;
        }
    }

    // One argument as JSON text; never throws for what a script's own getters and traps throw.
    function render(value) {
        try {
            switch (typeof value) {
                case 'string': return stringify(value);
                case 'undefined': return '"undefined"';
                case 'object': {
                    if (value === null) return 'null';
                    if (isError(value)) return stringify(errorText(value));
                    if (isOpaque(value)) return stringify(load(library.inspect).inspect(value));
                    return stringifyLoosely(value) ?? '"undefined"';
                }
                default: return stringify(plain(value));
            }
        } catch {
            return '"[a value that cannot be shown]"';
        }
    }

    // As console.log writes it in Node.js.
    function format(values) {
        try {
            if (values.length === 1 && typeof values[0] === 'string') return values[0];
            let text = '';
            for (let i = 0; i < values.length; ++i) {
                const value = values[i];
                if (i > 0) text += ' ';
                switch (typeof value) {
                    case 'string':
                        if (i === 0 && apply(includes, value, ['%'])) return load(library.inspect).format(values);
                        text += value;
                        break;
                    case 'number': text += value === 0 && 1 / value < 0 ? '-0' : '' + value; break;
                    case 'boolean': case 'undefined': text += value; break;
                    default:
                        if (value !== null) return load(library.inspect).format(values);
                        text += 'null';
                }
            }
            return text;
        } catch {
            return '[a value that cannot be shown]';
        }
    }

    let indentation = '';
    // `text` is a record's text where it is not what `values` make; `values` are what a client gets as data.
    function record(level, values, text) {
        if (inside(ask.wantsValues)) {
            let json = '[';
            for (let i = 0; i < values.length; ++i) json += i === 0 ? render(values[i]) : ',' + render(values[i]);
            sink(level, json + ']');
            return;
        }
        text ??= format(values);
        if (indentation !== '') text = load(library.inspect).indent(text, indentation);
        sink(level, apply(toWellFormed, text, []));
    }
    const bare = (values) => setPrototypeOf(values, null);
    const failed = 'Assertion failed';
    kit.record = record;
    kit.format = format;
    kit.group = (step) => { indentation = step > 0 ? indentation + '  ' : indentation === '' ? '' : apply(kit.stringProto.slice, indentation, [2]); };

    // The numbers are console_level's.
    const methods = {
        log(...values) { record(0, values); },
        info(...values) { record(1, values); },
        warn(...values) { record(2, values); },
        error(...values) { record(3, values); },
        debug(...values) { record(4, values); },
        trace(...values) { load(library.inspect).console.trace(values); },
        assert(condition, ...values) {
            if (condition) return;
            const data = bare([failed]);
            const shown = bare([failed]);
            for (let i = 0; i < values.length; ++i) data[i + 1] = shown[i] = values[i];
            if (values.length > 0) shown[0] = failed + ': ' + kit.String(values[0]);
            record(6, data, format(shown));
        },
        dir(value, options) { load(library.inspect).console.dir(value, options); },
        dirxml(...values) { record(0, values); },
        table(data, columns) { load(library.inspect).console.table(data, columns); },
        group(...values) { if (values.length > 0) record(0, values); kit.group(1); },
        groupCollapsed(...values) { if (values.length > 0) record(0, values); kit.group(1); },
        groupEnd() { kit.group(-1); },
        count(label) { load(library.inspect).console.count(label); },
        countReset(label) { load(library.inspect).console.countReset(label); },
        time(label) { load(library.inspect).console.time(label); },
        timeLog(label, ...values) { load(library.inspect).console.timeLog(label, values); },
        timeEnd(label) { load(library.inspect).console.timeEnd(label); },
    };

    defineProperty(methods, Symbol.toStringTag, { __proto__: null, value: 'console', configurable: true });

    const shown = { writable: true, enumerable: false, configurable: true };
    const put = (name, value) => defineProperty(globalThis, name, { __proto__: null, ...shown, value });
    put('console', methods);
    // The engine fixes the origin when it boots, once for all runs; ours moves with the run.
    put('performance', {
        now() { return kit.performanceNow(); },
        get timeOrigin() { return dateNow() - kit.performanceNow(); },
    });
    put('self', globalThis);
    put('navigator', { userAgent: 'sandboxd' });

    function later(index, ...names) {
        for (const name of names)
            defineProperty(globalThis, name, {
                __proto__: null,
                enumerable: false,
                configurable: true,
                get() {
                    const value = load(index)[name];
                    put(name, value);
                    return value;
                },
                set(value) { put(name, value); },
            });
    }
    later(library.timers, 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'clearImmediate');
    later(library.events, 'Event', 'CustomEvent', 'EventTarget', 'AbortController', 'AbortSignal',
        'reportError');
    later(library.encoding, 'TextEncoder', 'TextDecoder');
    later(library.url, 'URL', 'URLSearchParams');
    later(library.clone, 'structuredClone');
    later(library.crypto, 'crypto', 'Crypto');

    // What the host calls: with a text it is about tools (interpreter.cpp, enum errand), else about timers.
    return (what, text) => text === undefined ? loaded[library.timers] !== undefined && loaded[library.timers].turn(what)
        : what ? load(library.tools).settle(text) : load(library.tools).install(text);
})
