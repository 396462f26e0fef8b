// Event, EventTarget, AbortController, AbortSignal: https://dom.spec.whatwg.org/
(function (kit) {
    'use strict';
    const none = 0, atTarget = 2;
    const custom = Symbol.for('nodejs.util.inspect.custom');
    // What is in an object counts as a level of its own.
    const shown = (object, values, options, inspect) => object.constructor.name + ' ' +
        inspect(values, { ...options, depth: options.depth === null ? null : options.depth - 1 });
    const isDeep = (depth) => typeof depth === 'number' && depth < 0;
    const inner = new WeakMap();   // of an event: { stopped, prevented, dispatching, target, passive }
    const of = (event) => {
        const state = inner.get(event);
        if (state === undefined) throw new TypeError('Value of "this" must be of type Event');
        return state;
    };

    class Event {
        constructor(type, options = {}) {
            if (arguments.length === 0) throw new TypeError('The "type" argument must be specified');
            if (options !== null && typeof options !== 'object' && typeof options !== 'function' && options !== undefined)
                throw new TypeError('The "options" argument must be of type object');
            inner.set(this, { type: `${type}`, bubbles: !!options?.bubbles, cancelable: !!options?.cancelable,
                composed: !!options?.composed, stamp: kit.performanceNow(), target: null, phase: none, stopped: false,
                stoppedNow: false, prevented: false, passive: false });
        }
        get type() { return of(this).type; }
        get target() { return of(this).target; }
        get srcElement() { return of(this).target; }
        get currentTarget() { return of(this).phase === none ? null : of(this).target; }
        get eventPhase() { return of(this).phase; }
        get bubbles() { return of(this).bubbles; }
        get cancelable() { return of(this).cancelable; }
        get composed() { return of(this).composed; }
        get timeStamp() { return of(this).stamp; }
        get isTrusted() { return false; }
        get defaultPrevented() { return of(this).prevented; }
        get returnValue() { return !of(this).prevented; }
        set returnValue(value) { if (!value) this.preventDefault(); }
        get cancelBubble() { return of(this).stopped; }
        set cancelBubble(value) { if (value) of(this).stopped = true; }
        composedPath() { return of(this).phase === none ? [] : [of(this).target]; }
        preventDefault() {
            const state = of(this);
            if (state.cancelable && !state.passive) state.prevented = true;
        }
        stopPropagation() { of(this).stopped = true; }
        stopImmediatePropagation() { of(this).stopped = of(this).stoppedNow = true; }
        [custom](depth, options, inspect) {
            if (!inner.has(this)) return this;
            if (isDeep(depth)) return this.constructor.name;
            const { type, defaultPrevented, cancelable, timeStamp } = this;
            return shown(this, { type, defaultPrevented, cancelable, timeStamp }, options, inspect);
        }
    }
    for (const [at, phase] of ['NONE', 'CAPTURING_PHASE', 'AT_TARGET', 'BUBBLING_PHASE'].entries())
        for (const place of [Event, Event.prototype]) Object.defineProperty(place, phase, { value: at, enumerable: true });

    class CustomEvent extends Event {
        #detail;
        constructor(type, options) {
            super(type, options);
            this.#detail = options?.detail ?? null;
        }
        get detail() { return this.#detail; }
    }

    const lists = new WeakMap();
    class EventTarget {
        constructor() { lists.set(this, new Map()); }
        addEventListener(type, callback, options) {
            if (arguments.length < 2) throw new TypeError('The "type" and "listener" arguments must be specified');
            const all = listsOf(this);
            const given = typeof options === 'object' && options !== null ? options : { capture: !!options };
            const { signal } = given;
            if (signal !== undefined && !(signal instanceof AbortSignal))
                throw new TypeError('The "options.signal" property must be an instance of AbortSignal');
            if (callback === null || callback === undefined) return;
            if (typeof callback !== 'function' && typeof callback !== 'object')
                throw new TypeError('The "listener" argument must be an instance of EventListener');
            if (signal?.aborted) return;
            type = `${type}`;
            const capture = !!given.capture;
            if (!all.has(type)) all.set(type, []);
            const list = all.get(type);
            if (list.some((one) => one.callback === callback && one.capture === capture)) return;
            list.push({ callback, capture, once: !!given.once, passive: !!given.passive, removed: false });
            signal?.addEventListener('abort', () => this.removeEventListener(type, callback, capture), { once: true });
        }
        removeEventListener(type, callback, options) {
            const capture = typeof options === 'object' && options !== null ? !!options.capture : !!options;
            const list = listsOf(this).get(`${type}`);
            const at = list?.findIndex((one) => one.callback === callback && one.capture === capture) ?? -1;
            if (at < 0) return;
            list[at].removed = true;
            list.splice(at, 1);
        }
        [custom](depth, options, inspect) {
            if (!lists.has(this)) return this;
            return isDeep(depth) ? this.constructor.name : shown(this, {}, options, inspect);
        }
        dispatchEvent(event) {
            const all = listsOf(this);
            if (!(event instanceof Event)) throw new TypeError('The "event" argument must be an instance of Event');
            const state = of(event);
            if (state.phase !== none) throw new DOMException('The event is already being dispatched', 'InvalidStateError');
            state.target = this;
            state.phase = atTarget;
            const list = [...(all.get(state.type) ?? [])];
            for (const one of list.filter((some) => some.capture).concat(list.filter((some) => !some.capture))) {
                if (one.removed) continue;
                if (state.stoppedNow) break;
                if (one.once) this.removeEventListener(state.type, one.callback, one.capture);
                state.passive = one.passive;
                try {
                    if (typeof one.callback === 'function') one.callback.call(this, event);
                    else one.callback.handleEvent(event);
                } catch (error) {
                    // It is nobody's who dispatches: it ends the run as an error without a catch.
                    queueMicrotask(() => { throw error; });
                }
                state.passive = false;
            }
            state.phase = none;
            state.stopped = state.stoppedNow = false;
            return !state.prevented;
        }
    }
    function listsOf(target) {
        const list = lists.get(target);
        if (list === undefined) throw new TypeError('Value of "this" must be of type EventTarget');
        return list;
    }

    let making = false;
    const signals = new WeakMap();  // { aborted, reason, dependents }
    class AbortSignal extends EventTarget {
        #onabort = null;
        constructor() {
            if (!making) throw new TypeError('Illegal constructor');
            super();
            signals.set(this, { aborted: false, reason: undefined, dependents: [] });
        }
        get aborted() { return signals.get(this).aborted; }
        get reason() { return signals.get(this).reason; }
        throwIfAborted() { if (this.aborted) throw this.reason; }
        get onabort() { return this.#onabort; }
        set onabort(callback) {
            if (this.#onabort === null && typeof callback === 'function')
                this.addEventListener('abort', (event) => this.#onabort?.call(this, event));
            this.#onabort = typeof callback === 'function' ? callback : null;
        }
        [custom](depth, options, inspect) {
            if (!signals.has(this) || isDeep(depth)) return this;
            return shown(this, { aborted: this.aborted }, options, inspect);
        }
        static abort(reason) {
            const signal = make();
            abort(signal, reason, arguments.length > 0 && reason !== undefined);
            return signal;
        }
        static timeout(ms) {
            ms = +ms;
            if (!(ms >= 0 && ms <= Number.MAX_SAFE_INTEGER)) throw new RangeError('The value of "delay" is out of range');
            const signal = make();
            kit.load(kit.library.timers).setTimeout(() =>
                abort(signal, new DOMException('The operation was aborted due to timeout', 'TimeoutError'), true), ms);
            return signal;
        }
        static any(list) {
            const signal = make();
            const all = [...list];
            for (const one of all)
                if (!(one instanceof AbortSignal)) throw new TypeError('The "signals" argument must hold AbortSignals');
            for (const one of all) {
                if (one.aborted) {
                    abort(signal, one.reason, true);
                    return signal;
                }
            }
            for (const one of all) signals.get(one).dependents.push(signal);
            return signal;
        }
    }
    function make() {
        making = true;
        try {
            return new AbortSignal();
        } finally {
            making = false;
        }
    }
    function abort(signal, reason, given) {
        const state = signals.get(signal);
        if (state.aborted) return;
        state.aborted = true;
        state.reason = given ? reason : new DOMException('This operation was aborted', 'AbortError');
        signal.dispatchEvent(new Event('abort'));
        for (const one of state.dependents) abort(one, state.reason, true);
    }
    class AbortController {
        #signal = make();
        get signal() { return this.#signal; }
        abort(reason) { abort(this.#signal, reason, reason !== undefined); }
        [custom](depth, options, inspect) {
            if (!(#signal in this) || isDeep(depth)) return this;
            return shown(this, { signal: this.signal }, options, inspect);
        }
    }
    for (const one of [Event, CustomEvent, EventTarget, AbortController, AbortSignal])
        Object.defineProperty(one.prototype, Symbol.toStringTag, { value: one.name, configurable: true });
    function reportError(error) {
        if (arguments.length === 0) throw new TypeError('The "error" argument must be specified');
        queueMicrotask(() => { throw error; });
    }
    return { __proto__: null, reportError, Event, CustomEvent, EventTarget, AbortController, AbortSignal };
})
