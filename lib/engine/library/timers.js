// Timers. Nobody waits for them: when nothing else is left to do, the clock jumps to the next one (interpreter.cpp,
// settle). Two that are due are run in the order of their times, then of their making; that does not depend on how
// fast the machine is, because between two looks at the clock a script's time is measured in fuel.
(function (kit) {
    'use strict';
    const { inside, ask, apply, setPrototypeOf } = kit;
    const longest = 2 ** 31 - 1;
    let next = 1;
    // A binary heap: the earliest first. Cancelled ones stay in it until their time, or until they are the most.
    let heap = setPrototypeOf([], null);
    let live = 0;
    let byId = { __proto__: null };

    const before = (a, b) => a.due < b.due || (a.due === b.due && a.order < b.order);
    let order = 0;

    function add(timer) {
        timer.order = order++;
        let at = heap.length;
        while (at > 0) {
            const above = (at - 1) >> 1;
            if (!before(timer, heap[above])) break;
            heap[at] = heap[above];
            at = above;
        }
        heap[at] = timer;
    }
    function take() {
        const first = heap[0];
        const last = heap[heap.length - 1];
        heap.length -= 1;
        if (heap.length > 0) sink(last);
        return first;
    }
    function sink(timer) {
        let at = 0;
        for (;;) {
            let below = 2 * at + 1;
            if (below >= heap.length) break;
            if (below + 1 < heap.length && before(heap[below + 1], heap[below])) ++below;
            if (!before(heap[below], timer)) break;
            heap[at] = heap[below];
            at = below;
        }
        heap[at] = timer;
    }
    function start(callback, delay, repeats, rest, name) {
        if (typeof callback !== 'function')
            throw new TypeError(name + ': the callback must be a function, not ' + (callback === null ? 'null' : typeof callback));
        delay = +delay;
        delay = delay >= 1 && delay <= longest ? delay - delay % 1 : 1;
        const timer = { __proto__: null, id: next++, callback, delay, repeats, rest, order: 0,
            due: inside(ask.timerNow) + delay };
        byId[timer.id] = timer;
        ++live;
        add(timer);
        return timer.id;
    }
    function stop(id) {
        const timer = typeof id === 'number' || typeof id === 'string' ? byId[id] : undefined;
        if (timer === undefined) return;
        delete byId[id];
        --live;
        timer.callback = null;
        timer.rest = null;
        if (heap.length > 64 && heap.length > 4 * live) {
            const old = heap;
            heap = setPrototypeOf([], null);
            for (let i = 0; i < old.length; ++i)
                if (old[i].callback !== null) add(old[i]);
        }
    }
    // Runs what is due next, whenever that is; false when nothing is. With `drops`: forgets them all.
    function turn(drops) {
        if (drops) {
            heap = setPrototypeOf([], null);
            byId = { __proto__: null };
            live = 0;
            return false;
        }
        while (heap.length > 0) {
            const timer = take();
            if (timer.callback === null) continue;
            inside(ask.timerAdvance, timer.due);
            const { callback, rest } = timer;
            if (timer.repeats) {
                timer.due = inside(ask.timerNow) + timer.delay;
                add(timer);
            } else {
                delete byId[timer.id];
                --live;
            }
            apply(callback, undefined, rest);
            return true;
        }
        return false;
    }
    return {
        __proto__: null,
        turn,
        setTimeout(callback, delay, ...rest) { return start(callback, delay, false, rest, 'setTimeout'); },
        setInterval(callback, delay, ...rest) { return start(callback, delay, true, rest, 'setInterval'); },
        setImmediate(callback, ...rest) {
            return start(callback, 0, false, rest, 'setImmediate');
        },
        clearTimeout(id) { stop(id); },
        clearInterval(id) { stop(id); },
        clearImmediate(id) { stop(id); },
    };
})
