// Runs once, before the boot image is taken: puts `console` and `performance` in place. Called with one native
// function, `sink(level, json)`, which hands a finished record to the host.
//
// A script may change every object it can reach, the prototypes of ours included. So nothing here looks anything up
// at run time that a script could have replaced: intrinsics are captured now, arrays are never extended by assignment
// (a setter on Array.prototype would see it), and lists are objects without prototypes. What a script can do is make
// its own values misbehave while they are rendered, and that is caught.
(function (sink) {
    'use strict';
    const { stringify } = JSON;
    const { apply } = Reflect;
    const { isArray } = Array;
    const { defineProperty } = Object;
    const ErrorConstructor = Error;
    const hasInstance = Function.prototype[Symbol.hasInstance];
    const symbolToString = Symbol.prototype.toString;
    const { now: dateNow } = Date;
    const { now: performanceNow } = performance;
    const oldPerformance = performance;

    const isError = (value) => apply(hasInstance, ErrorConstructor, [value]);

    // As JSON.stringify, but for what it drops or refuses: functions, symbols, bigints, cycles.
    function stringifyLoosely(value) {
        let above = null; // the objects around the current one: { __proto__: null, object, above }
        return stringify(value, function (key, inner) {
            while (above !== null && above.object !== this) above = above.above;
            if (typeof inner === 'object' && inner !== null) {
                for (let one = above; one !== null; one = one.above)
                    if (one.object === inner) return '[Circular]';
                above = { __proto__: null, object: inner, above };
                return inner;
            }
            return typeof inner === 'object' ? inner : plain(inner);
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

    // One argument as JSON text; never throws for what a script's own getters and traps throw.
    function render(value) {
        try {
            switch (typeof value) {
                case 'string': return stringify(value);
                case 'undefined': return '"undefined"';
                case 'object': {
                    if (value === null) return 'null';
                    if (isError(value)) return stringify(errorText(value));
                    let text;
                    try {
                        text = stringify(value);
                    } catch {
                        text = stringifyLoosely(value);
                    }
                    return text === undefined ? '"undefined"' : text;
                }
                default: return stringify(plain(value));
            }
        } catch {
            return '"[a value that cannot be shown]"';
        }
    }

    function record(level, values, first) {
        let json = '[';
        for (let i = first; i < values.length; ++i) json += i === first ? render(values[i]) : ',' + render(values[i]);
        sink(level, json + ']');
    }

    // The numbers are console_level's.
    const methods = {
        log(...values) { record(0, values, 0); },
        info(...values) { record(1, values, 0); },
        warn(...values) { record(2, values, 0); },
        error(...values) { record(3, values, 0); },
        debug(...values) { record(4, values, 0); },
        trace(...values) { record(5, values, 0); },
        assert(condition, ...values) {
            if (condition) return;
            let json = '["Assertion failed"';
            for (let i = 0; i < values.length; ++i) json += ',' + render(values[i]);
            sink(6, json + ']');
        },
    };
    methods.dir = methods.log;

    const shown = { writable: true, enumerable: false, configurable: true };
    defineProperty(globalThis, 'console', { __proto__: null, ...shown, value: methods });
    // The engine fixes the origin when it boots, once for all runs; ours moves with the run.
    defineProperty(globalThis, 'performance', {
        __proto__: null,
        ...shown,
        value: {
            now() { return apply(performanceNow, oldPerformance, []); },
            get timeOrigin() { return dateNow() - apply(performanceNow, oldPerformance, []); },
        },
    });
})
