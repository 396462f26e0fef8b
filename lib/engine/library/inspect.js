// Values as text, as util.inspect and util.format of Node.js 20 make it, and the parts of `console` that few scripts
// need. https://nodejs.org/docs/latest-v20.x/api/util.html
//
// It is loaded when a script first prints an object, perhaps after that script changed every prototype: everything
// comes from the kit, and lists are arrays without a prototype.
(function (kit) {
    'use strict';
    const { inside, ask, apply, isArray, getOwnPropertyDescriptor, getPrototypeOf, setPrototypeOf, ownKeys, keys,
        getOwnPropertySymbols, getOwnPropertyNames, hasOwn, stringProto, arrayProto, Math, RegExp, objectProto,
        load, library } = kit;
    const { Symbol, Number, String, BigInt, Object } = kit;
    const custom = Symbol.for('nodejs.util.inspect.custom');
    const toStringTag = Symbol.toStringTag;
    const iterator = Symbol.iterator;
    const { max, min, sqrt, round, floor } = Math;
    const bare = (list) => setPrototypeOf(list, null);
    const test = (pattern, text) => apply(kit.regexpExec, pattern, [text]) !== null;
    const slice = (text, from, to) => apply(stringProto.slice, text, [from, to]);
    const has = (text, part) => apply(stringProto.includes, text, [part]);
    const find = (text, part, from) => apply(stringProto.indexOf, text, [part, from]);
    const starts = (text, part) => apply(stringProto.startsWith, text, [part]);
    const ends = (text, part) => apply(stringProto.endsWith, text, [part]);
    const repeat = (text, count) => apply(stringProto.repeat, text, [count]);
    const code = (text, at) => apply(stringProto.charCodeAt, text, [at]);
    const isEnumerable = (object, key) => apply(kit.isEnumerable, object, [key]);

    function join(list, between) {
        let text = '';
        for (let i = 0; i < list.length; ++i) text += i > 0 ? between + list[i] : list[i];
        return text;
    }
    function indexOf(list, wanted) {
        for (let i = 0; i < list.length; ++i)
            if (list[i] === wanted) return i;
        return -1;
    }
    function remove(list, at) {
        for (let i = at; i + 1 < list.length; ++i) list[i] = list[i + 1];
        list.length -= 1;
    }
    function indentLines(text, by) {
        let made = '';
        for (let from = 0;;) {
            const at = find(text, '\n', from);
            if (at < 0) return made + slice(text, from);
            made += slice(text, from, at + 1) + by;
            from = at + 1;
        }
    }
    const plural = (count) => (count > 1 ? 's' : '');
    const more = (count, what) => '... ' + count + ' more ' + what + plural(count);

    // ---- Primitives.

    const hex = (number, digits) => {
        let text = apply(stringProto.toUpperCase, apply(kit.numberToString, number, [16]), []);
        while (text.length < digits) text = '0' + text;
        return text;
    };
    const short = { __proto__: null, 8: '\\b', 9: '\\t', 10: '\\n', 12: '\\f', 13: '\\r', 39: "\\'", 92: '\\\\' };
    const special = /[\x00-\x1f\x27\x5c\x7f-\x9f\ud800-\udfff]/;
    function quote(text) {
        if (!test(special, text)) return "'" + text + "'";
        let mark = 39;
        if (has(text, "'")) {
            if (!has(text, '"')) mark = 34;
            else if (!has(text, '`') && !has(text, '${')) mark = 96;
        }
        const sign = kit.fromCharCode(mark);
        return sign + escaped(text, mark) + sign;
    }
    function escaped(text, mark) {
        let made = '';
        let from = 0;
        for (let i = 0; i < text.length; ++i) {
            const one = code(text, i);
            let escape;
            if (one === 39) {
                if (mark === 39) escape = "\\'";
            } else if (one === 92 || one < 32) {
                escape = short[one] ?? '\\x' + hex(one, 2);
            } else if (one >= 0x7f && one <= 0x9f) {
                escape = '\\x' + hex(one, 2);
            } else if (one >= 0xd800 && one <= 0xdfff) {
                const next = i + 1 < text.length ? code(text, i + 1) : 0;
                if (one <= 0xdbff && next >= 0xdc00 && next <= 0xdfff) {
                    ++i;
                    continue;
                }
                escape = '\\u' + apply(kit.numberToString, one, [16]);
            }
            if (escape === undefined) continue;
            made += slice(text, from, i) + escape;
            from = i + 1;
        }
        return made + slice(text, from);
    }
    function number(value, separates) {
        if (value === 0 && 1 / value < 0) return '-0';
        const text = '' + value;
        if (!separates || has(text, 'e') || has(text, 'n') || has(text, 'N') || has(text, 'I')) return text;
        const point = find(text, '.');
        const whole = point < 0 ? text : slice(text, 0, point);
        const first = starts(whole, '-') ? 1 : 0;
        let made = '';
        let end = whole.length;
        for (; end - first > 3; end -= 3) made = '_' + slice(whole, end - 3, end) + made;
        made = slice(whole, 0, end) + made;
        if (point < 0) return made;
        made += '.';
        for (let i = point + 1; i < text.length; i += 3) made += (i > point + 1 ? '_' : '') + slice(text, i, i + 3);
        return made;
    }
    function symbolText(value) { return apply(kit.symbolToString, value, []); }

    function primitive(ctx, value) {
        switch (typeof value) {
            case 'string': {
                let rest = '';
                if (value.length > ctx.maxStringLength) {
                    rest = more(value.length - ctx.maxStringLength, 'character');
                    value = slice(value, 0, ctx.maxStringLength);
                }
                if (ctx.compact !== true && value.length > 16 && value.length > ctx.breakLength - ctx.indent - 4) {
                    let made = '';
                    for (let from = 0; from < value.length;) {
                        const at = find(value, '\n', from);
                        const end = at < 0 ? value.length : at + 1;
                        if (from > 0) made += ' +\n' + repeat(' ', ctx.indent + 2);
                        made += quote(slice(value, from, end));
                        from = end;
                    }
                    return made + rest;
                }
                return quote(value) + rest;
            }
            case 'number': return number(value, ctx.numericSeparator);
            case 'bigint': return number(value, ctx.numericSeparator) + 'n';
            case 'symbol': return symbolText(value);
            default: return '' + value;
        }
    }

    // ---- What an object is.

    const isInstance = (object, constructor) => {
        try {
            return apply(kit.hasInstance, constructor, [object]);
        } catch {
            return false;
        }
    };
    // Null for what has no prototype.
    function constructorName(object, ctx, depth) {
        const whole = object;
        let first;
        for (let at = object; at !== null;) {
            const own = getOwnPropertyDescriptor(at, 'constructor');
            if (own !== undefined && typeof own.value === 'function' && own.value.name !== '' && isInstance(whole, own.value))
                return '' + own.value.name;
            at = getPrototypeOf(at);
            if (first === undefined) first = at;
        }
        if (first === null) return null;
        const name = inside(ask.className, whole);
        if (depth > ctx.depth && ctx.depth !== null) return name + ' <Complex prototype>';
        const above = constructorName(first, ctx, depth + 1);
        if (above === null)
            return name + ' <' + inspect(first, { __proto__: null, ...ctx.options, customInspect: false, depth: -1 }) + '>';
        return name + ' <' + above + '>';
    }
    function prefixOf(constructor, tag, fallback, size = '') {
        if (constructor === null)
            return tag !== '' && fallback !== tag ? '[' + fallback + size + ': null prototype] [' + tag + '] '
                : '[' + fallback + size + ': null prototype] ';
        return tag !== '' && constructor !== tag ? constructor + size + ' [' + tag + '] ' : constructor + size + ' ';
    }
    function keysOf(ctx, value, ofArray) {
        const made = bare([]);
        const names = ctx.showHidden ? getOwnPropertyNames(value) : keys(value);
        for (let i = 0; i < names.length; ++i)
            if (!ofArray || !isIndex(names[i])) made[made.length] = names[i];
        const symbols = getOwnPropertySymbols(value);
        for (let i = 0; i < symbols.length; ++i)
            if (ctx.showHidden || isEnumerable(value, symbols[i])) made[made.length] = symbols[i];
        return made;
    }
    const index = /^(0|[1-9][0-9]*)$/;
    const isIndex = (key) => test(index, key) && +key <= 2 ** 32 - 2;

    const afterName = /^(\s+[^(]*?)\s*\{/;
    function functionBase(value, constructor, tag) {
        const source = apply(kit.functionToString, value, []);
        if (starts(source, 'class') && ends(source, '}')) {
            const inner = slice(source, 5, -1);
            const bracket = find(inner, '{');
            if (bracket >= 0 && (!has(slice(inner, 0, bracket), '(') || test(afterName, inner)))
                return classBase(value, constructor, tag);
        }
        let kind = 'Function';
        const name = inside(ask.className, value);
        if (name === 'GeneratorFunction' || name === 'AsyncGeneratorFunction' || name === 'AsyncFunction') kind = name;
        let base = '[' + kind;
        if (constructor === null) base += ' (null prototype)';
        base += value.name === '' ? ' (anonymous)' : ': ' + (typeof value.name === 'string' ? value.name : inspect(value.name));
        base += ']';
        if (constructor !== kind && constructor !== null) base += ' ' + constructor;
        if (tag !== '' && constructor !== tag) base += ' [' + tag + ']';
        return base;
    }
    function classBase(value, constructor, tag) {
        const name = (hasOwn(value, 'name') && value.name) || '(anonymous)';
        let base = 'class ' + name;
        if (constructor !== 'Function' && constructor !== null) base += ' [' + constructor + ']';
        if (tag !== '' && constructor !== tag) base += ' [' + tag + ']';
        if (constructor !== null) {
            const above = getPrototypeOf(value).name;
            if (above) base += ' extends ' + above;
        } else {
            base += ' extends null';
        }
        return '[' + base + ']';
    }

    // The engine's stacks have no first line; Node.js's have the error itself there.
    function stackOf(error) {
        const { stack } = error;
        const head = headOf(error);
        if (typeof stack !== 'string' || stack === '') return stack ? '' + stack : head;
        if (!starts(stack, '    at ')) return stack;
        return head + '\n' + (ends(stack, '\n') ? slice(stack, 0, -1) : stack);
    }
    function headOf(error) {
        let { name, message } = error;
        name = name === undefined || name === null ? 'Error' : '' + name;
        message = message === undefined ? '' : '' + message;
        return message === '' ? name : name === '' ? message : name + ': ' + message;
    }
    const ownWords = bare(['name', 'message', 'stack']);
    const headName = /^([A-Z][a-z_ A-Z0-9[\]()-]+)(?::|\n\s+at)/;
    const headWord = /^([a-z_A-Z0-9-]*Error)$/;
    function errorBase(ctx, error, constructor, tag, list) {
        const name = error.name === undefined || error.name === null ? 'Error' : '' + error.name;
        let stack = stackOf(error);
        if (!ctx.showHidden) {
            for (let i = 0; i < ownWords.length; ++i) {
                const key = ownWords[i];
                const at = indexOf(list, key);
                if (at >= 0 && (key === 'stack' || (error[key] !== undefined && has(stack, '' + error[key])))) remove(list, at);
            }
        }
        if ('cause' in error && indexOf(list, 'cause') < 0) list[list.length] = 'cause';
        if (isArray(error.errors) && indexOf(list, 'errors') < 0) list[list.length] = 'errors';
        let length = name.length;
        if (constructor === null ||
            (ends(name, 'Error') && starts(stack, name) &&
             (stack.length === length || stack[length] === ':' || stack[length] === '\n'))) {
            let fallback = 'Error';
            if (constructor === null) {
                const found = apply(kit.regexpExec, headName, [stack]) || apply(kit.regexpExec, headWord, [stack]);
                fallback = (found && found[1]) || '';
                length = fallback.length;
                fallback ||= 'Error';
            }
            const prefix = slice(prefixOf(constructor, tag, fallback), 0, -1);
            if (name !== prefix) {
                if (has(prefix, name)) stack = length === 0 ? prefix + ': ' + stack : prefix + slice(stack, length);
                else stack = prefix + ' [' + name + ']' + slice(stack, length);
            }
        }
        const message = typeof error.message === 'string' ? error.message : '';
        let at = (message !== '' && find(stack, message)) || -1;
        if (at >= 0) at += message.length;
        if (find(stack, '\n    at', at) < 0) stack = '[' + stack + ']';
        return ctx.indent === 0 ? stack : indentLines(stack, repeat(' ', ctx.indent));
    }

    const boxes = { __proto__: null, Number: kit.numberValue, String: kit.stringValue, Boolean: kit.booleanValue,
        BigInt: kit.bigintValue, Symbol: kit.symbolValue };
    function boxedBase(ctx, value, kind, list, constructor, tag) {
        if (kind === 'String')
            while (list.length > 0 && typeof list[0] === 'string' && isIndex(list[0])) remove(list, 0);
        const inner = apply(boxes[kind], value, []);
        let base = '[' + kind;
        if (kind !== constructor) base += constructor === null ? ' (null prototype)' : ' (' + constructor + ')';
        base += ': ' + primitive({ __proto__: null, ...ctx, compact: true }, inner) + ']';
        if (tag !== '' && tag !== constructor) base += ' [' + tag + ']';
        return base;
    }

    // ---- Objects.

    const asObject = 0, asArray = 1, asArrayExtras = 2;

    function formatValue(ctx, value, depth, typed) {
        if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return primitive(ctx, value);
        const context = value;
        for (let steps = 0;; ++steps) {
            const target = inside(ask.proxyTarget, value);
            if (target === undefined) break;
            if (target === null) return '<Revoked Proxy>';
            if (steps > 1000) return '[Proxy]';
            value = target;
        }
        if (ctx.customInspect) {
            const own = value[custom];
            if (typeof own === 'function') {
                const left = ctx.depth === null ? null : ctx.depth - depth;
                const text = apply(own, context, [left, { ...ctx.options }, inspect]);
                if (text !== context)
                    return indentLines(typeof text !== 'object' ? '' + text : formatValue(ctx, text, depth), repeat(' ', ctx.indent));
            }
        }
        if (indexOf(ctx.seen, value) >= 0) {
            ctx.circular ??= new kit.Map();
            let number = apply(kit.mapGet, ctx.circular, [value]);
            if (number === undefined) {
                number = ++ctx.circles;
                apply(kit.mapSet, ctx.circular, [value, number]);
            }
            return '[Circular *' + number + ']';
        }
        return formatRaw(ctx, value, depth, typed);
    }

    function formatRaw(ctx, value, depth, typed) {
        const constructor = constructorName(value, ctx, depth);
        let tag = value[toStringTag];
        if (typeof tag !== 'string' || (tag !== '' && (ctx.showHidden ? hasOwn(value, toStringTag) : isEnumerable(value, toStringTag))))
            tag = '';
        const kind = typeof value === 'function' ? 'Function' : isArray(value) ? 'Array' : inside(ask.className, value);
        const typedTag = apply(kit.typedTag, value, []);
        let list;
        let base = '';
        let open = '{', close = '}';
        let extras = asObject;
        let fill = null;
        if (kind === 'Array') {
            const prefix = constructor !== 'Array' || tag !== '' ? prefixOf(constructor, tag, 'Array', '(' + value.length + ')') : '';
            list = keysOf(ctx, value, true);
            open = prefix + '[';
            close = ']';
            if (value.length === 0 && list.length === 0) return open + ']';
            extras = asArrayExtras;
            fill = formatArray;
        } else if (typedTag !== undefined) {
            const size = apply(kit.typedLength, value, []);
            list = keysOf(ctx, value, true);
            open = prefixOf(constructor, tag, constructor === null ? typedTag : '', '(' + size + ')') + '[';
            close = ']';
            if (size === 0 && list.length === 0 && !ctx.showHidden) return open + ']';
            extras = asArrayExtras;
            fill = formatTypedArray;
        } else {
            list = keysOf(ctx, value, false);
            const any = () => list.length > 0;
            switch (kind) {
                case 'Function':
                    base = functionBase(value, constructor, tag);
                    if (!any()) return base;
                    break;
                case 'Set': case 'Map': {
                    const size = apply(kind === 'Set' ? kit.setSize : kit.mapSize, value, []);
                    const prefix = prefixOf(constructor, tag, kind, '(' + size + ')');
                    if (size === 0 && !any()) return prefix + '{}';
                    open = prefix + '{';
                    fill = kind === 'Set' ? formatSet : formatMap;
                    break;
                }
                case 'Arguments': open = '[Arguments] {'; if (!any()) return '[Arguments] {}'; break;
                case 'RegExp': {
                    base = apply(kit.regexpToString, constructor === null ? new RegExp(value) : value, []);
                    const prefix = prefixOf(constructor, tag, 'RegExp');
                    if (prefix !== 'RegExp ') base = prefix + base;
                    if (!any() || (depth > ctx.depth && ctx.depth !== null)) return base;
                    break;
                }
                case 'Date': {
                    const time = apply(kit.dateValue, value, []);
                    base = apply(time !== time ? kit.dateToString : kit.dateToISOString, value, []);
                    const prefix = prefixOf(constructor, tag, 'Date');
                    if (prefix !== 'Date ') base = prefix + base;
                    if (!any()) return base;
                    break;
                }
                case 'Error': case 'DOMException':
                    base = errorBase(ctx, value, constructor, tag, list);
                    if (!any()) return base;
                    break;
                case 'ArrayBuffer': case 'SharedArrayBuffer': {
                    const prefix = prefixOf(constructor, tag, kind);
                    const size = apply(kind === 'ArrayBuffer' ? kit.bufferLength : kit.sharedLength, value, []);
                    open = prefix + '{';
                    if (typed && !any()) return open + ' byteLength: ' + size + ' }';
                    fill = (inner, buffer) => {
                        const made = typed ? bare([]) : contents(inner, buffer, size);
                        made[made.length] = 'byteLength: ' + size;
                        return made;
                    };
                    break;
                }
                case 'DataView':
                    open = prefixOf(constructor, tag, 'DataView') + '{';
                    fill = (inner, view, below) => {
                        inner.indent += 2;
                        const buffer = formatValue(inner, apply(kit.viewBuffer, view, []), below);
                        inner.indent -= 2;
                        return bare(['byteLength: ' + apply(kit.viewLength, view, []),
                            'byteOffset: ' + apply(kit.viewOffset, view, []), 'buffer: ' + buffer]);
                    };
                    break;
                case 'Promise':
                    open = prefixOf(constructor, tag, 'Promise') + '{';
                    fill = (inner, promise, below) => {
                        const state = inside(ask.promiseState, promise);
                        if (state === 0) return bare(['<pending>']);
                        inner.indent += 2;
                        const text = formatValue(inner, inside(ask.promiseResult, promise), below);
                        inner.indent -= 2;
                        return bare([state === 2 ? '<rejected> ' + text : text]);
                    };
                    break;
                case 'WeakSet': case 'WeakMap':
                    open = prefixOf(constructor, tag, kind) + '{';
                    fill = () => bare(['<items unknown>']);
                    break;
                case 'Map Iterator': case 'Set Iterator': {
                    open = '[' + (tag !== '' && tag !== kind ? tag + '] [' + kind : kind) + '] {';
                    const left = iterated(value, kind);
                    if (left === undefined) {
                        fill = () => bare(['<items unknown>']);
                        break;
                    }
                    if (left.pairs) open = slice(open, 0, -12) + ' Entries] {';
                    fill = (inner, whose, below) => formatIterated(inner, left, below);
                    break;
                }
                case 'Module': {
                    open = '[Module: null prototype] {';
                    break;
                }
                case 'Number': case 'String': case 'Boolean': case 'BigInt': case 'Symbol':
                    base = boxedBase(ctx, value, kind, list, constructor, tag);
                    if (!any()) return base;
                    break;
                default: {
                    const plain = constructor === 'Object' && tag === '';
                    open = plain ? '{' : prefixOf(constructor, tag, 'Object') + '{';
                    if (!any()) return open + '}';
                }
            }
        }
        if (depth > ctx.depth && ctx.depth !== null)
            return constructor === null ? '[' + slice(prefixOf(constructor, tag, kind === 'Array' ? 'Array' : 'Object'), 0, -1) + ']'
                : '[' + slice(prefixOf(constructor, tag, 'Object'), 0, -1) + ']';
        const below = depth + 1;
        ctx.seen[ctx.seen.length] = value;
        ctx.currentDepth = below;
        let output;
        try {
            output = fill === null ? bare([]) : fill(ctx, value, below);
            for (let i = 0; i < list.length; ++i) output[output.length] = property(ctx, value, below, list[i], extras);
        } catch (error) {
            if (isInstance(error, InternalError) || isInstance(error, RangeError)) {
                ctx.seen.length -= 1;
                return '[' + slice(prefixOf(constructor, tag, 'Object'), 0, -1) +
                    ': Inspection interrupted prematurely. Maximum call stack size exceeded.]';
            }
            throw error;
        }
        if (ctx.circular !== undefined) {
            const number = apply(kit.mapGet, ctx.circular, [value]);
            if (number !== undefined) {
                const reference = '<ref *' + number + '>';
                if (ctx.compact !== true) base = base === '' ? reference : reference + ' ' + base;
                else open = reference + ' ' + open;
            }
        }
        if (ctx.sorted && list.length > 1) sort(output, extras === asObject ? 0 : output.length - list.length, ctx.sorted);
        ctx.seen.length -= 1;
        const text = reduce(ctx, output, base, open, close, extras, below, value);
        ctx.spent += text.length;
        if (ctx.spent > 2 ** 22) ctx.depth = -1;  // deep and wide: what follows is named only
        return text;
    }

    // What comes from `from` on, by insertion; by what the caller gave, or by code units.
    function sort(output, from, comparator) {
        const after = typeof comparator === 'function' ? (a, b) => comparator(a, b) > 0 : (a, b) => a > b;
        for (let i = from + 1; i < output.length; ++i) {
            const one = output[i];
            let at = i;
            for (; at > from && after(output[at - 1], one); --at) output[at] = output[at - 1];
            output[at] = one;
        }
    }

    const plainKey = /^[a-zA-Z_][a-zA-Z_0-9]*$/;
    function property(ctx, object, depth, key, kind) {
        const own = getOwnPropertyDescriptor(object, key) ??
            { __proto__: null, value: object[key], enumerable: true };
        let text;
        // Of its own: Object.prototype may have got anything.
        if (hasOwn(own, 'value')) {
            const step = ctx.compact !== true || kind !== asObject ? 2 : 3;
            ctx.indent += step;
            text = formatValue(ctx, own.value, depth);
            ctx.indent -= step;
        } else if (own.get !== undefined) {
            const label = own.set !== undefined ? 'Getter/Setter' : 'Getter';
            text = '[' + label + ']';
            if (ctx.getters === true || (ctx.getters === 'get' && own.set === undefined) ||
                (ctx.getters === 'set' && own.set !== undefined)) {
                try {
                    const got = apply(own.get, object, []);
                    ctx.indent += 2;
                    text = typeof got === 'object' && got !== null ? text + ' ' + formatValue(ctx, got, depth)
                        : '[' + label + ': ' + (typeof got === 'function' ? formatValue(ctx, got, depth) : primitive(ctx, got)) + ']';
                    ctx.indent -= 2;
                } catch (error) {
                    text = '[' + label + ': <Inspection threw (' + error.message + ')>]';
                }
            }
        } else {
            text = own.set !== undefined ? '[Setter]' : 'undefined';
        }
        if (kind === asArray) return text;
        let name;
        if (typeof key === 'symbol') name = '[' + escaped(symbolText(key), 39) + ']';
        else if (key === '__proto__') name = "['__proto__']";
        else if (own.enumerable === false) name = '[' + key + ']';
        else name = test(plainKey, key) ? key : quote(key);
        return name + ': ' + text;
    }

    function formatArray(ctx, value, depth) {
        const { length } = value;
        const shown = min(max(0, ctx.maxArrayLength), length);
        const output = bare([]);
        for (let i = 0; i < shown; ++i) {
            if (!hasOwn(value, i)) return formatSparse(ctx, value, depth, shown, output, i);
            output[i] = property(ctx, value, depth, '' + i, asArray);
        }
        if (length > shown) output[shown] = more(length - shown, 'item');
        return output;
    }
    function formatSparse(ctx, value, depth, shown, output, at) {
        const all = keys(value);
        let next = at;
        const empty = (count) => '<' + count + ' empty item' + plural(count) + '>';
        for (let i = at; i < all.length && output.length < shown; ++i) {
            const key = all[i];
            if (!isIndex(key)) break;
            if ('' + next !== key) {
                output[output.length] = empty(key - next);
                next = +key;
                if (output.length === shown) break;
            }
            output[output.length] = property(ctx, value, depth, key, asArray);
            ++next;
        }
        const left = value.length - next;
        if (output.length !== shown) {
            if (left > 0) output[output.length] = empty(left);
        } else if (left > 0) {
            output[output.length] = more(left, 'item');
        }
        return output;
    }
    function formatTypedArray(ctx, value, depth) {
        const length = apply(kit.typedLength, value, []);
        const shown = min(max(0, ctx.maxArrayLength), length);
        const output = bare([]);
        for (let i = 0; i < shown; ++i) output[i] = primitive(ctx, value[i]);
        if (length > shown) output[shown] = more(length - shown, 'item');
        if (ctx.showHidden) {
            ctx.indent += 2;
            const hidden = bare(['BYTES_PER_ELEMENT', 'length', 'byteLength', 'byteOffset', 'buffer']);
            for (let i = 0; i < hidden.length; ++i) {
                const key = hidden[i];
                output[output.length] = '[' + key + ']: ' + formatValue(ctx, value[key], depth, true);
            }
            ctx.indent -= 2;
        }
        return output;
    }
    function contents(ctx, buffer, size) {
        const shown = min(max(0, ctx.maxArrayLength), size);
        const bytes = new kit.Uint8Array(buffer, 0, shown);
        let text = '';
        for (let i = 0; i < shown; ++i)
            text += (i > 0 ? ' ' : '') + apply(stringProto.toLowerCase, hex(bytes[i], 2), []);
        if (size > shown) text += ' ' + more(size - shown, 'byte');
        return bare(['[Uint8Contents]: <' + text + '>']);
    }
    // Stops what is walked when enough of it is shown.
    const enough = { __proto__: null };
    function formatEach(ctx, size, walk) {
        const shown = min(max(0, ctx.maxArrayLength), size);
        const output = bare([]);
        ctx.indent += 2;
        try {
            walk((text) => {
                if (output.length >= shown) throw enough;
                output[output.length] = text();
            });
        } catch (error) {
            if (error !== enough) throw error;
        }
        ctx.indent -= 2;
        if (size > shown) output[shown] = more(size - shown, 'item');
        return output;
    }
    function formatSet(ctx, value, depth) {
        return formatEach(ctx, apply(kit.setSize, value, []), (add) =>
            apply(kit.setForEach, value, [(one) => add(() => formatValue(ctx, one, depth))]));
    }
    function formatMap(ctx, value, depth) {
        return formatEach(ctx, apply(kit.mapSize, value, []), (add) =>
            apply(kit.mapForEach, value, [(one, key) =>
                add(() => formatValue(ctx, key, depth) + ' => ' + formatValue(ctx, one, depth))]));
    }

    // What an iterator of a Map or Set has still to give: { list, pairs }, pairs being two after each other.
    const keysOnly = 0, pairsOf = 2, isUnderWay = 4, isUnknown = 8;  // interpreter.cpp, iterator_state_of
    function iterated(iterator, kind) {
        const state = inside(ask.iteratorState, iterator);
        if (state & isUnknown) return undefined;
        const list = bare([]);
        const what = state & 3;
        const source = inside(ask.iteratorSource, iterator);
        if (source !== undefined) {
            const current = inside(ask.iteratorKey, iterator);
            let reached = (state & isUnderWay) === 0;
            const isSet = kind === 'Set Iterator';
            apply(isSet ? kit.setForEach : kit.mapForEach, source, [(value, key) => {
                if (!reached) {
                    reached = key === current || (key !== key && current !== current);
                    return;
                }
                if (what === pairsOf || what === keysOnly) list[list.length] = key;
                if (what !== keysOnly) list[list.length] = value;
            }]);
        }
        return { __proto__: null, list, pairs: what === pairsOf };
    }
    function formatIterated(ctx, left, depth) {
        const { list } = left;
        const step = left.pairs ? 2 : 1;
        const size = list.length / step;
        const shown = min(max(0, ctx.maxArrayLength), size);
        const output = bare([]);
        ctx.indent += 2;
        for (let i = 0; i < shown; ++i) {
            const first = formatValue(ctx, list[i * step], depth);
            output[i] = left.pairs ? reduce(ctx, bare([first, formatValue(ctx, list[i * step + 1], depth)]), '', '[', ']', asArrayExtras, depth)
                : first;
        }
        ctx.indent -= 2;
        if (size > shown) output[shown] = more(size - shown, 'item');
        return output;
    }

    // Several short ones a line, in columns.
    function group(ctx, output, value) {
        let total = 0;
        let longest = 0;
        let count = output.length;
        if (ctx.maxArrayLength < output.length) --count;  // "… more items"
        const between = 2;
        const lengths = bare([]);
        for (let i = 0; i < count; ++i) {
            lengths[i] = widthOf(output[i]);
            total += lengths[i] + between;
            if (longest < lengths[i]) longest = lengths[i];
        }
        const width = longest + between;
        if (!(width * 3 + ctx.indent < ctx.breakLength && (total / width > 5 || longest <= 6))) return output;
        const bias = sqrt(width - total / output.length);
        const biased = max(width - 3 - bias, 1);
        const columns = min(round(sqrt(2.5 * biased * count) / biased), floor((ctx.breakLength - ctx.indent) / width),
            ctx.compact * 4, 15);
        if (columns <= 1) return output;
        const widths = bare([]);
        for (let i = 0; i < columns; ++i) {
            let most = 0;
            for (let j = i; j < count; j += columns)
                if (lengths[j] > most) most = lengths[j];
            widths[i] = most + between;
        }
        let pad = stringProto.padStart;
        if (value !== undefined) {
            for (let i = 0; i < output.length; ++i) {
                if (typeof value[i] !== 'number' && typeof value[i] !== 'bigint') {
                    pad = stringProto.padEnd;
                    break;
                }
            }
        }
        const lines = bare([]);
        for (let i = 0; i < count; i += columns) {
            const end = min(i + columns, count);
            let line = '';
            let j = i;
            // Characters that take two cells are one or two of a string's units.
            const cells = () => widths[j - i] + output[j].length - lengths[j];
            for (; j < end - 1; ++j) line += apply(pad, output[j] + ', ', [cells(), ' ']);
            line += pad === stringProto.padStart ? apply(pad, output[j], [cells() - between, ' ']) : output[j];
            lines[lines.length] = line;
        }
        if (ctx.maxArrayLength < output.length) lines[lines.length] = output[count];
        return lines;
    }

    function reduce(ctx, output, base, open, close, extras, depth, value) {
        const lead = base === '' ? '' : base + ' ';
        if (ctx.compact !== true) {
            if (typeof ctx.compact === 'number' && ctx.compact >= 1) {
                const entries = output.length;
                if (extras === asArrayExtras && entries > 6) output = group(ctx, output, value);
                if (ctx.currentDepth - depth < ctx.compact && entries === output.length) {
                    let total = output.length + output.length + ctx.indent + open.length + base.length + 10;
                    let fits = total + output.length <= ctx.breakLength;
                    for (let i = 0; fits && i < output.length; ++i) {
                        total += output[i].length;
                        fits = total <= ctx.breakLength;
                    }
                    if (fits && (base === '' || !has(base, '\n'))) {
                        const joined = join(output, ', ');
                        if (!has(joined, '\n')) return lead + open + ' ' + joined + ' ' + close;
                    }
                }
            }
            const line = '\n' + repeat(' ', ctx.indent);
            return lead + open + line + '  ' + join(output, ',' + line + '  ') + line + close;
        }
        let total = output.length + open.length + base.length;
        for (let i = 0; i < output.length; ++i) total += output[i].length;
        const joined = join(output, ', ');
        if (total + output.length <= ctx.breakLength && (base === '' || !has(base, '\n')))
            return open + (base === '' ? '' : ' ' + base) + ' ' + joined + ' ' + close;
        const line = '\n' + repeat(' ', ctx.indent);
        const start = base === '' && open.length === 1 ? ' ' : (base === '' ? '' : ' ' + base) + '\n' + line + '  ';
        return open + start + join(output, ',' + line + '  ') + ' ' + close;
    }

    const defaults = { __proto__: null, showHidden: false, depth: 2, colors: false, customInspect: true, showProxy: false,
        maxArrayLength: 100, maxStringLength: 10000, breakLength: 80, compact: 3, sorted: false, getters: false,
        numericSeparator: false };
    function inspect(value, options) {
        const all = { __proto__: null, ...defaults };
        if (typeof options === 'object' && options !== null)
            for (const key in defaults)
                if (options[key] !== undefined) all[key] = options[key];
        if (all.depth === Infinity) all.depth = null;
        if (all.maxArrayLength === null) all.maxArrayLength = Infinity;
        if (all.maxStringLength === null) all.maxStringLength = Infinity;
        if (all.compact === false) all.compact = 0;
        const ctx = { __proto__: null, ...all, options: all, indent: 0, currentDepth: 0, seen: bare([]), circles: 0,
            circular: undefined, spent: 0 };
        return formatValue(ctx, value, 0);
    }

    // ---- console.log's %.

    function hasBuiltInToString(value) {
        for (let target = inside(ask.proxyTarget, value); target !== undefined; target = inside(ask.proxyTarget, value)) {
            if (target === null) return true;
            value = target;
        }
        if (typeof value.toString !== 'function') return true;
        if (hasOwn(value, 'toString')) return false;
        let at = value;
        do at = getPrototypeOf(at); while (!hasOwn(at, 'toString'));
        const own = getOwnPropertyDescriptor(at, 'constructor');
        return own !== undefined && typeof own.value === 'function' &&
            has(apply(kit.functionToString, own.value, []), '[native code]');
    }
    function asNumber(value) {
        return typeof value === 'bigint' ? '' + value + 'n' : typeof value === 'symbol' ? 'NaN' : number(Number(value));
    }
    function format(values) {
        const first = values[0];
        let text = '';
        let used = 0;
        let between = '';
        if (typeof first === 'string') {
            if (values.length === 1) return first;
            let from = 0;
            for (let i = 0; i < first.length - 1; ++i) {
                if (code(first, i) !== 37) continue;
                const kind = first[++i];
                if (used + 1 !== values.length) {
                    const value = values[used + 1];
                    let made;
                    switch (kind) {
                        case 's':
                            made = typeof value === 'number' ? number(value) : typeof value === 'bigint' ? '' + value + 'n'
                                : typeof value !== 'object' || value === null || !hasBuiltInToString(value) ? String(value)
                                : inspect(value, { __proto__: null, depth: 0 });
                            break;
                        case 'j':
                            try {
                                made = kit.stringify(value) ?? 'undefined';
                            } catch (error) {
                                if (!has('' + error.message, 'circular')) throw error;
                                made = '[Circular]';
                            }
                            break;
                        case 'd': made = asNumber(value); break;
                        case 'O': made = inspect(value); break;
                        case 'o': made = inspect(value, { __proto__: null, showHidden: true, showProxy: true, depth: 4 }); break;
                        case 'i':
                            made = typeof value === 'bigint' ? '' + value + 'n' : typeof value === 'symbol' ? 'NaN'
                                : number(kit.parseInt(value));
                            break;
                        case 'f': made = typeof value === 'symbol' ? 'NaN' : number(kit.parseFloat(value)); break;
                        case 'c': made = ''; break;
                        case '%':
                            text += slice(first, from, i);
                            from = i + 1;
                            continue;
                        default: continue;
                    }
                    text += slice(first, from, i - 1) + made;
                    from = i + 1;
                    ++used;
                } else if (kind === '%') {
                    text += slice(first, from, i);
                    from = i + 1;
                }
            }
            text += slice(first, from);
            ++used;
            between = ' ';
        }
        for (; used < values.length; ++used) {
            const value = values[used];
            text += between + (typeof value === 'string' ? value : inspect(value));
            between = ' ';
        }
        return text;
    }

    // ---- console.

    const counts = { __proto__: null };
    const times = { __proto__: null };
    const labelOf = (label) => (label === undefined ? 'default' : '' + label);
    const warn = (text) => kit.record(2, bare([text]), text);
    const log = (text) => kit.record(0, bare([text]), text);
    const fixed = (value, digits) => apply(Number.prototype.toFixed, value, [digits]);
    function duration(ms) {
        if (ms >= 3_600_000) return clock(floor(ms / 3_600_000), ms % 3_600_000 / 60_000, 'h:mm') ;
        if (ms >= 60_000) return clock(floor(ms / 60_000), ms % 60_000 / 1_000, 'm:ss.mmm');
        if (ms >= 1_000) return fixed(ms / 1_000, 3) + 's';
        return Number(fixed(ms, 3)) + 'ms';
    }
    function clock(whole, rest, unit) {
        const text = unit === 'h:mm' ? '' + floor(rest) : fixed(rest, 3);
        return whole + ':' + (rest < 10 ? '0' : '') + text + ' (' + unit + ')';
    }
    function sinceTimer(label, what) {
        const began = times[label];
        if (began === undefined) {
            warn("Warning: No such label '" + label + "' for console." + what + '()');
            return undefined;
        }
        return label + ': ' + duration(kit.performanceNow() - began);
    }

    function cell(value) {
        return inspect(value, { __proto__: null, maxArrayLength: 3, breakLength: Infinity,
            depth: value !== null && typeof value === 'object' && !isArray(value) && keys(value).length > 2 ? -1 : 0 });
    }
    // Columns as wide as what is in them; characters of East Asian scripts and emoji take two cells.
    const ascii = /^[\x20-\x7e]*$/;
    function widthOf(text) {
        if (test(ascii, text)) return text.length;
        let width = 0;
        for (let i = 0; i < text.length; ++i) {
            const one = apply(stringProto.codePointAt, text, [i]);
            if (one > 0xffff) ++i;
            if (one < 0x300) ++width;
            else if (one <= 0x36f || one === 0x200b || one === 0x200d || (one >= 0xfe00 && one <= 0xfe0f)) continue;
            else width += (one >= 0x1100 && one <= 0x115f) || (one >= 0x2e80 && one <= 0xa4cf) ||
                (one >= 0xac00 && one <= 0xd7a3) || (one >= 0xf900 && one <= 0xfaff) || (one >= 0xfe30 && one <= 0xfe6f) ||
                (one >= 0xff00 && one <= 0xff60) || (one >= 0xffe0 && one <= 0xffe6) || (one >= 0x1f300 && one <= 0x1faff) ||
                (one >= 0x20000 && one <= 0x3fffd) ? 2 : 1;
        }
        return width;
    }
    function drawTable(head, columns) {
        const widths = bare([]);
        let rows = 0;
        for (let i = 0; i < head.length; ++i) {
            let most = widthOf(head[i]);
            for (let j = 0; j < columns[i].length; ++j) most = max(most, widthOf(columns[i][j] ?? ''));
            widths[i] = most + 2;
            rows = max(rows, columns[i].length);
        }
        const line = (left, cross, right) => {
            let text = left;
            for (let i = 0; i < widths.length; ++i) text += (i > 0 ? cross : '') + repeat('─', widths[i]);
            return text + right;
        };
        const row = (of) => {
            let text = '│';
            for (let i = 0; i < widths.length; ++i) {
                const shown = of(i) ?? '';
                text += ' ' + shown + repeat(' ', widths[i] - 1 - widthOf(shown)) + (i + 1 < widths.length ? '│' : '');
            }
            return text + '│\n';
        };
        let text = line('┌', '┬', '┐') + '\n' + row((i) => head[i]) + line('├', '┼', '┤') + '\n';
        for (let j = 0; j < rows; ++j) text += row((i) => columns[i][j]);
        return text + line('└', '┴', '┘');
    }
    function tableOf(data, wanted) {
        const index = bare([]);
        const values = bare([]);
        const kind = inside(ask.className, data);
        if (kind === 'Map') {
            const heads = bare([]);
            apply(kit.mapForEach, data, [(value, key) => {
                index[index.length] = '' + index.length;
                heads[heads.length] = cell(key);
                values[values.length] = cell(value);
            }]);
            return drawTable(bare(['(iteration index)', 'Key', 'Values']), bare([index, heads, values]));
        }
        if (kind === 'Set') {
            apply(kit.setForEach, data, [(value) => {
                index[index.length] = '' + index.length;
                values[values.length] = cell(value);
            }]);
            return drawTable(bare(['(iteration index)', 'Values']), bare([index, values]));
        }
        const columns = { __proto__: null };
        let hasValues = false;
        const all = keys(data);
        for (let i = 0; i < all.length; ++i) {
            index[i] = all[i];
            const row = data[all[i]];
            const isPrimitive = row === null || (typeof row !== 'object' && typeof row !== 'function');
            if (isPrimitive && wanted === undefined) {
                hasValues = true;
                values[i] = cell(row);
                continue;
            }
            const list = wanted ?? keys(row);
            for (let j = 0; j < list.length; ++j) {
                const key = '' + list[j];
                columns[key] ??= bare([]);
                if (!isPrimitive && hasOwn(row, key)) columns[key][i] = cell(row[key]);
            }
        }
        const head = bare(['(index)']);
        const shown = bare([index]);
        const names = keys(columns);
        for (let i = 0; i < names.length; ++i) {
            head[i + 1] = names[i];
            shown[i + 1] = columns[names[i]];
        }
        if (hasValues) {
            head[head.length] = 'Values';
            shown[shown.length] = values;
        }
        return drawTable(head, shown);
    }

    const methods = {
        __proto__: null,
        trace(values) {
            let text = 'Trace';
            if (values.length > 0) {
                const rest = kit.format(values);
                if (rest !== '') text += ': ' + rest;
            }
            let { stack } = new kit.ErrorConstructor();
            if (typeof stack === 'string') {
                // Without the console's own frames.
                let from = 0;
                for (let i = 0; i < 2; ++i) from = find(stack, '\n', from) + 1;
                stack = slice(stack, from);
                if (stack !== '') text += '\n' + (ends(stack, '\n') ? slice(stack, 0, -1) : stack);
            }
            kit.record(5, values, text);
        },
        dir(value, options) {
            kit.record(0, bare([value]), inspect(value, { __proto__: null, customInspect: false, ...options }));
        },
        table(data, wanted) {
            if (data === null || typeof data !== 'object') {
                kit.record(0, bare([data]));
                return;
            }
            kit.record(0, bare([data]), tableOf(data, isArray(wanted) ? wanted : undefined));
        },
        count(label) {
            label = labelOf(label);
            counts[label] = (counts[label] ?? 0) + 1;
            log(label + ': ' + counts[label]);
        },
        countReset(label) {
            label = labelOf(label);
            if (counts[label] === undefined) warn("Warning: Count for '" + label + "' does not exist");
            else delete counts[label];
        },
        time(label) {
            label = labelOf(label);
            if (times[label] !== undefined) warn("Warning: Label '" + label + "' already exists for console.time()");
            else times[label] = kit.performanceNow();
        },
        timeLog(label, values) {
            const text = sinceTimer(labelOf(label), 'timeLog');
            if (text === undefined) return;
            log(values.length > 0 ? text + ' ' + kit.format(values) : text);
        },
        timeEnd(label) {
            label = labelOf(label);
            const text = sinceTimer(label, 'timeEnd');
            if (text === undefined) return;
            delete times[label];
            log(text);
        },
    };

    return { __proto__: null, inspect, format, console: methods, indent: (text, by) => by + indentLines(text, by) };
})
