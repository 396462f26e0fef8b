// The tools of a run: asynchronous functions that the client answers. Loaded before a run's first script, if it has any.
//
// A call goes to the host as JSON, and leaves a promise here. When nothing else is left to do the run ends for now; the
// answers come as the text of the client's request, and the promises are settled in their order.
(function (kit) {
    'use strict';
    const { inside, ask, apply, stringify, setPrototypeOf, defineProperty, hasOwn, ErrorConstructor } = kit;
    const { parse } = JSON;
    const PromiseConstructor = Promise;
    const TypeErrorConstructor = TypeError;
    const RangeErrorConstructor = RangeError;
    const { split } = kit.stringProto;
    let waiting = { __proto__: null }; // by the call's number: { __proto__: null, resolve, reject }

    function call(index, name, values) {
        let resolve, reject;
        const promise = new PromiseConstructor((yes, no) => { resolve = yes; reject = no; });
        try {
            // What JSON drops from an array is null in it.
            const text = stringify(setPrototypeOf(values, null));
            const id = inside(ask.toolCall, index, text);
            if (id === undefined)
                throw new RangeErrorConstructor('tools.' + name + ': too many calls are pending, or their arguments are too long');
            waiting[id] = { __proto__: null, resolve, reject };
        } catch (error) {
            reject(error);
        }
        return promise;
    }

    function install(names) {
        const shown = { __proto__: null, writable: true, enumerable: true, configurable: true };
        const tools = { __proto__: null };
        for (let i = 0; i < names.length; ++i) {
            const name = names[i];
            const parts = apply(split, name, ['.']);
            let at = tools;
            for (let j = 0; j < parts.length - 1; ++j) at = at[parts[j]] ??= { __proto__: null };
            const last = parts[parts.length - 1];
            const made = (...values) => call(i, name, values);
            defineProperty(made, 'name', { __proto__: null, value: last, configurable: true });
            defineProperty(at, last, { ...shown, __proto__: null, value: made });
        }
        defineProperty(globalThis, 'tools', { ...shown, __proto__: null, enumerable: false, value: tools });
    }

    // The host has checked that there is one result for each call, with either a value or an error.
    function settle(text) {
        const { results } = parse(text);
        for (let i = 0; i < results.length; ++i) {
            const one = results[i];
            const its = waiting[one.id];
            if (its === undefined) continue;
            delete waiting[one.id];
            if (hasOwn(one, 'error') && one.error !== null) its.reject(new ErrorConstructor(one.error));
            else its.resolve(one.value);
        }
    }

    return { __proto__: null, install(text) { install(parse(text)); }, settle };
})
