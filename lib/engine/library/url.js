// URL and URLSearchParams: https://url.spec.whatwg.org/. Hosts of other scripts are folded by NFKC and lower case and
// written in Punycode (RFC 3492), without the tables of UTS #46.
(function () {
    'use strict';
    const ports = { __proto__: null, 'ftp:': '21', 'file:': '', 'http:': '80', 'https:': '443', 'ws:': '80', 'wss:': '443' };
    const isSpecial = (scheme) => scheme in ports;
    const encoder = new (globalThis.TextEncoder)();
    const decoder = new (globalThis.TextDecoder)('utf-8', { ignoreBOM: true });

    const c0 = () => false;
    const among = (text) => (c) => text.includes(c);
    const inFragment = among(' "<>`');
    const inQuery = among(' "#<>');
    const inSpecialQuery = among(' "#<>\'');
    const inPath = among(' "#<>?`{}');
    const inUser = among(' "#<>?^`{}/:;=@[\\]|');
    const hex = (byte) => '%' + (byte < 16 ? '0' : '') + byte.toString(16).toUpperCase();
    function encode(text, set) {
        let made = '';
        for (const c of text) {
            const code = c.codePointAt(0);
            if (code > 0x1f && code < 0x7f && !set(c)) made += c;
            else for (const byte of encoder.encode(c)) made += hex(byte);
        }
        return made;
    }
    function percentDecode(text) {
        const bytes = encoder.encode(text);
        let at = 0;
        for (let i = 0; i < bytes.length; ++i) {
            const digits = bytes[i] === 0x25 ? String.fromCharCode(bytes[i + 1] ?? 0, bytes[i + 2] ?? 0) : '';
            if (/^[0-9a-fA-F]{2}$/.test(digits)) {
                bytes[at++] = parseInt(digits, 16);
                i += 2;
            } else {
                bytes[at++] = bytes[i];
            }
        }
        return bytes.subarray(0, at);
    }

    // ---- Hosts.

    function punycode(label) {
        const input = Array.from(label, (c) => c.codePointAt(0));
        let output = input.filter((c) => c < 128).map((c) => String.fromCharCode(c)).join('');
        let handled = output.length;
        const basic = handled;
        if (basic > 0) output += '-';
        let n = 128, delta = 0, bias = 72;
        while (handled < input.length) {
            const m = Math.min(...input.filter((c) => c >= n));
            delta += (m - n) * (handled + 1);
            n = m;
            for (const c of input) {
                if (c < n) ++delta;
                if (c !== n) continue;
                let q = delta;
                for (let k = 36;; k += 36) {
                    const t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
                    if (q < t) break;
                    const digit = t + (q - t) % (36 - t);
                    output += String.fromCharCode(digit < 26 ? digit + 97 : digit + 22);
                    q = Math.floor((q - t) / (36 - t));
                }
                output += String.fromCharCode(q < 26 ? q + 97 : q + 22);
                delta = handled === basic ? Math.floor(delta / 700) : delta >> 1;
                delta += Math.floor(delta / (handled + 1));
                let k = 0;
                for (; delta > 455; k += 36) delta = Math.floor(delta / 35);
                bias = k + Math.floor(36 * delta / (delta + 38));
                delta = 0;
                ++handled;
            }
            ++delta;
            ++n;
        }
        return 'xn--' + output;
    }
    function toAscii(domain) {
        domain = domain.replace(/[\u00ad\u200b\u2060\ufeff\ufe00-\ufe0f]/g, '').replace(/[\u3002\uff0e\uff61]/g, '.')
            .toLowerCase().normalize('NFKC').toLowerCase().normalize('NFC');
        return domain.split('.').map((one) => (/^[\x00-\x7f]*$/.test(one) ? one : punycode(one))).join('.');
    }
    function ipv4Number(text) {
        if (text === '') return NaN;
        if (/^0[xX]/.test(text)) return /^0[xX][0-9a-fA-F]*$/.test(text) ? (text.length === 2 ? 0 : parseInt(text, 16)) : NaN;
        if (/^0[0-9]/.test(text)) return /^[0-7]+$/.test(text) ? parseInt(text, 8) : NaN;
        return /^[0-9]+$/.test(text) ? parseInt(text, 10) : NaN;
    }
    function endsInNumber(host) {
        const parts = host.split('.');
        if (parts.at(-1) === '') {
            if (parts.length === 1) return false;
            parts.pop();
        }
        return /^[0-9]+$/.test(parts.at(-1)) || !Number.isNaN(ipv4Number(parts.at(-1)));
    }
    function ipv4(host) {
        const parts = host.split('.');
        if (parts.at(-1) === '' && parts.length > 1) parts.pop();
        if (parts.length > 4) return null;
        const numbers = parts.map(ipv4Number);
        if (numbers.some(Number.isNaN)) return null;
        const last = numbers.pop();
        if (numbers.some((one) => one > 255) || last >= 256 ** (4 - numbers.length)) return null;
        let value = last;
        numbers.forEach((one, i) => { value += one * 256 ** (3 - i); });
        return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
    }
    function ipv6(text) {
        const pieces = [];
        let compress = -1;
        let rest = text;
        if (rest.startsWith('::')) {
            rest = rest.slice(2);
            compress = 0;
        } else if (rest.startsWith(':')) {
            return null;
        }
        while (rest !== '') {
            if (pieces.length === 8) return null;
            if (rest.startsWith(':')) {
                if (compress >= 0) return null;
                rest = rest.slice(1);
                compress = pieces.length;
                continue;
            }
            const [digits] = /^[0-9a-fA-F]{0,4}/.exec(rest);
            const behind = rest[digits.length];
            if (behind === '.') {
                const parts = rest.split('.');
                if (digits === '' || pieces.length > 6 || parts.length !== 4 ||
                    parts.some((one) => !/^(0|[1-9][0-9]{0,2})$/.test(one) || +one > 255))
                    return null;
                pieces.push(+parts[0] * 256 + +parts[1], +parts[2] * 256 + +parts[3]);
                break;
            }
            if (digits === '' && behind !== undefined) return null;
            if (behind !== undefined && behind !== ':') return null;
            rest = rest.slice(digits.length + 1);
            if (behind === ':' && rest === '') return null;
            pieces.push(parseInt(digits, 16));
        }
        if (compress >= 0) {
            if (pieces.length === 8) return null;
            pieces.splice(compress, 0, ...Array(8 - pieces.length).fill(0));
        }
        if (pieces.length !== 8) return null;
        let best = -1, most = 1;
        for (let i = 0; i < 8; ++i) {
            let end = i;
            while (end < 8 && pieces[end] === 0) ++end;
            if (end - i > most) {
                best = i;
                most = end - i;
            }
            if (end > i) i = end;
        }
        let made = '';
        for (let i = 0; i < 8; ++i) {
            if (i === best) {
                made += i === 0 ? '::' : ':';
                i += most - 1;
                continue;
            }
            made += pieces[i].toString(16) + (i < 7 ? ':' : '');
        }
        return '[' + made + ']';
    }
    const forbiddenHost = /[\0\t\n\r #/:<>?@[\\\]^|]/;
    const forbiddenDomain = /[\0-\x20#%/:<>?@[\\\]^|\x7f]/;
    function parseHost(text, special) {
        if (text.startsWith('[')) return text.endsWith(']') ? ipv6(text.slice(1, -1)) : null;
        if (!special) return forbiddenHost.test(text) ? null : encode(text, c0);
        const domain = toAscii(decoder.decode(percentDecode(text)));
        if (domain === '' || forbiddenDomain.test(domain)) return null;
        return endsInNumber(domain) ? ipv4(domain) : domain;
    }

    // ---- The parser: a record, or null. With `state`: sets one part of `url`.

    const isWindowsLetter = (text) => /^[a-zA-Z][:|]$/.test(text);
    const startsWithWindowsLetter = (text) => /^[a-zA-Z][:|]([/\\?#]|$)/.test(text);
    const isDot = (text) => /^(\.|%2e)$/i.test(text);
    const isDoubleDot = (text) => /^(\.|%2e){2}$/i.test(text);
    const blank = () => ({ scheme: '', username: '', password: '', host: null, port: '', path: [], query: null, fragment: null });
    const copy = (url) => ({ ...url, path: typeof url.path === 'string' ? url.path : [...url.path] });
    const isOpaque = (url) => typeof url.path === 'string';
    function shorten(url) {
        if (url.scheme === 'file:' && url.path.length === 1 && /^[a-zA-Z]:$/.test(url.path[0])) return;
        url.path.pop();
    }

    function parse(text, base = null) {
        text = text.replace(/^[\0-\x20]+|[\0-\x20]+$/g, '').replace(/[\t\n\r]/g, '');
        let url = blank();
        const hash = text.indexOf('#');
        let fragment = null;
        if (hash >= 0) {
            fragment = encode(text.slice(hash + 1), inFragment);
            text = text.slice(0, hash);
        }
        const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(text);
        let rest;
        if (scheme !== null) {
            url.scheme = scheme[1].toLowerCase() + ':';
            rest = text.slice(scheme[0].length);
            if (url.scheme === 'file:') return finish(fileState(url, rest, base?.scheme === 'file:' ? base : null), fragment);
            if (isSpecial(url.scheme)) {
                if (base !== null && base.scheme === url.scheme && !/^[/\\]{2}/.test(rest))
                    return finish(relative(url, rest, base), fragment);
                return finish(authority(url, rest.replace(/^[/\\]*/, '')), fragment);
            }
            if (rest.startsWith('//')) return finish(authority(url, rest.slice(2)), fragment);
            if (rest.startsWith('/')) return finish(pathState(url, rest), fragment);
            return finish(opaque(url, rest, fragment !== null), fragment);
        }
        if (base === null) return null;
        if (isOpaque(base)) {
            if (text !== '' || fragment === null) return null;
            url = copy(base);
            return finish(url, fragment);
        }
        url.scheme = base.scheme;
        if (base.scheme === 'file:') return finish(fileState(url, text, base), fragment);
        return finish(relative(url, text, base), fragment);
    }
    function finish(url, fragment) {
        if (url === null) return null;
        url.fragment = fragment;
        return url;
    }
    const slash = (url, c) => c === '/' || (isSpecial(url.scheme) && c === '\\');
    function relative(url, text, base) {
        if (slash(url, text[0])) {
            if (slash(url, text[1])) return authority(url, isSpecial(url.scheme) ? text.replace(/^[/\\]*/, '') : text.slice(2));
            ({ username: url.username, password: url.password, host: url.host, port: url.port } = base);
            return pathState(url, text);
        }
        const made = copy(base);
        made.fragment = null;
        if (text === '') return made;
        if (text[0] === '?') return setQuery(made, text.slice(1));
        made.query = null;
        shorten(made);
        return pathState(made, text, true);
    }
    function authority(url, text) {
        const end = text.search(isSpecial(url.scheme) ? /[/\\?]/ : /[/?]/);
        let part = end < 0 ? text : text.slice(0, end);
        const rest = end < 0 ? '' : text.slice(end);
        const at = part.lastIndexOf('@');
        if (at >= 0) {
            const user = part.slice(0, at);
            part = part.slice(at + 1);
            if (part === '') return null;
            const colon = user.indexOf(':');
            url.username = encode(colon < 0 ? user : user.slice(0, colon), inUser);
            if (colon >= 0) url.password = encode(user.slice(colon + 1), inUser);
        }
        if (!hostAndPort(url, part)) return null;
        return pathState(url, rest);
    }
    function hostAndPort(url, part) {
        const split = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(part);
        if (split === null) return false;
        const [, name, port] = split;
        if (name === '' && (isSpecial(url.scheme) || port !== undefined)) return false;
        const host = name === '' ? '' : parseHost(name, isSpecial(url.scheme));
        if (host === null) return false;
        url.host = host;
        if (port === undefined || port === '') return true;
        if (!/^[0-9]+$/.test(port) || +port > 65535) return false;
        url.port = '' + +port === ports[url.scheme] ? '' : '' + +port;
        return true;
    }
    function fileState(url, text, base) {
        url.host = '';
        if (/^[/\\]/.test(text)) {
            if (/^[/\\]{2}/.test(text)) {
                const rest = text.slice(2);
                const end = rest.search(/[/\\?]/);
                const part = end < 0 ? rest : rest.slice(0, end);
                if (isWindowsLetter(part)) return pathState(url, rest);
                if (part !== '') {
                    const host = parseHost(part, true);
                    if (host === null) return null;
                    url.host = host === 'localhost' ? '' : host;
                }
                return pathState(url, end < 0 ? '' : rest.slice(end));
            }
            if (base !== null) {
                url.host = base.host;
                if (!startsWithWindowsLetter(text.slice(1)) && base.path.length > 0 && /^[a-zA-Z]:$/.test(base.path[0]))
                    url.path.push(base.path[0]);
            }
            return pathState(url, text);
        }
        if (base === null) return pathState(url, text);
        url.host = base.host;
        url.path = [...base.path];
        url.query = base.query;
        if (text === '') return url;
        if (text[0] === '?') return setQuery(url, text.slice(1));
        url.query = null;
        if (startsWithWindowsLetter(text)) url.path = [];
        else shorten(url);
        return pathState(url, text, true);
    }
    function pathState(url, text, goesOn = false) {
        const question = text.indexOf('?');
        let path = question < 0 ? text : text.slice(0, question);
        if (question >= 0) url.query = encode(text.slice(question + 1), isSpecial(url.scheme) ? inSpecialQuery : inQuery);
        const special = isSpecial(url.scheme);
        if (path === '' && !special && !goesOn) return url;
        if (!goesOn && slash(url, path[0])) path = path.slice(1);
        const parts = special ? path.split(/[/\\]/) : path.split('/');
        parts.forEach((part, i) => {
            const last = i === parts.length - 1;
            if (isDoubleDot(part)) {
                shorten(url);
                if (last) url.path.push('');
            } else if (isDot(part)) {
                if (last) url.path.push('');
            } else {
                if (url.scheme === 'file:' && url.path.length === 0 && isWindowsLetter(part)) part = part[0] + ':';
                url.path.push(encode(part, inPath));
            }
        });
        return url;
    }
    function opaque(url, text) {
        const question = text.indexOf('?');
        const path = question < 0 ? text : text.slice(0, question);
        url.path = encode(path, c0);
        if (question >= 0) url.query = encode(text.slice(question + 1), inQuery);
        return url;
    }
    function setQuery(url, text) {
        url.query = encode(text, isSpecial(url.scheme) ? inSpecialQuery : inQuery);
        return url;
    }
    const pathOf = (url) => (isOpaque(url) ? url.path : url.path.map((one) => '/' + one).join(''));
    function serialize(url) {
        let made = url.scheme;
        if (url.host !== null) {
            made += '//';
            if (url.username !== '' || url.password !== '')
                made += url.username + (url.password !== '' ? ':' + url.password : '') + '@';
            made += url.host + (url.port !== '' ? ':' + url.port : '');
        } else if (!isOpaque(url) && url.path.length > 1 && url.path[0] === '') {
            made += '/.';
        }
        return made + pathOf(url) + (url.query !== null ? '?' + url.query : '') + (url.fragment !== null ? '#' + url.fragment : '');
    }

    // ---- URLSearchParams.

    const formEncode = (text) => {
        let made = '';
        for (const byte of encoder.encode(text)) {
            const c = String.fromCharCode(byte);
            made += byte === 0x20 ? '+' : /[A-Za-z0-9*._-]/.test(c) ? c : hex(byte);
        }
        return made;
    };
    const formDecode = (text) => decoder.decode(percentDecode(text.replaceAll('+', ' ')));
    const parseForm = (text) => text.split('&').filter((one) => one !== '').map((one) => {
        const at = one.indexOf('=');
        return at < 0 ? [formDecode(one), ''] : [formDecode(one.slice(0, at)), formDecode(one.slice(at + 1))];
    });
    const word = (text) => `${text}`.toWellFormed();
    const custom = Symbol.for('nodejs.util.inspect.custom');
    let link;  // set by URL: (params, url) => void

    class URLSearchParams {
        #list = [];
        #url = null;
        static { link = (params, url, text) => { params.#url = url; params.#list = parseForm(text); }; }
        constructor(init = undefined) {
            if (init === undefined || init === null) return;
            if (typeof init === 'object' || typeof init === 'function') {
                const each = init[Symbol.iterator];
                if (each !== undefined && each !== null) {
                    if (typeof each !== 'function') throw new TypeError('Query pairs must be iterable');
                    for (const pair of init) {
                        if (pair === null || typeof pair !== 'object' || typeof pair[Symbol.iterator] !== 'function')
                            throw new TypeError('Each query pair must be an iterable [name, value] tuple');
                        const both = [...pair];
                        if (both.length !== 2) throw new TypeError('Each query pair must be an iterable [name, value] tuple');
                        this.#list.push([word(both[0]), word(both[1])]);
                    }
                    return;
                }
                const seen = new Map();
                for (const key of Reflect.ownKeys(init)) {
                    if (!Object.prototype.propertyIsEnumerable.call(init, key)) continue;
                    if (typeof key === 'symbol') throw new TypeError('Cannot convert a Symbol value to a string');
                    seen.set(word(key), word(init[key]));
                }
                this.#list = [...seen];
                return;
            }
            const text = word(init);
            this.#list = parseForm(text.startsWith('?') ? text.slice(1) : text);
        }
        #changed() {
            if (this.#url === null) return;
            const text = this.toString();
            this.#url.query = text === '' ? null : text;
        }
        get size() { return this.#list.length; }
        append(name, value) {
            if (arguments.length < 2) throw new TypeError('The "name" and "value" arguments must be specified');
            this.#list.push([word(name), word(value)]);
            this.#changed();
        }
        delete(name, value = undefined) {
            name = word(name);
            this.#list = this.#list.filter((one) => one[0] !== name || (value !== undefined && one[1] !== word(value)));
            this.#changed();
        }
        get(name) { return this.#list.find((one) => one[0] === word(name))?.[1] ?? null; }
        getAll(name) { return this.#list.filter((one) => one[0] === word(name)).map((one) => one[1]); }
        has(name, value = undefined) {
            return this.#list.some((one) => one[0] === word(name) && (value === undefined || one[1] === word(value)));
        }
        set(name, value) {
            if (arguments.length < 2) throw new TypeError('The "name" and "value" arguments must be specified');
            name = word(name);
            const first = this.#list.find((one) => one[0] === name);
            if (first === undefined) {
                this.#list.push([name, word(value)]);
            } else {
                first[1] = word(value);
                this.#list = this.#list.filter((one) => one === first || one[0] !== name);
            }
            this.#changed();
        }
        sort() {
            this.#list.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
            this.#changed();
        }
        forEach(callback, self = undefined) {
            if (typeof callback !== 'function') throw new TypeError('The "callback" argument must be of type function');
            for (let i = 0; i < this.#list.length; ++i) callback.call(self, this.#list[i][1], this.#list[i][0], this);
        }
        *entries() { for (let i = 0; i < this.#list.length; ++i) yield [...this.#list[i]]; }
        *keys() { for (let i = 0; i < this.#list.length; ++i) yield this.#list[i][0]; }
        *values() { for (let i = 0; i < this.#list.length; ++i) yield this.#list[i][1]; }
        toString() { return this.#list.map((one) => formEncode(one[0]) + '=' + formEncode(one[1])).join('&'); }
        [custom](depth, options, inspect) {
            if (!(#list in this)) return this;
            if (typeof depth === 'number' && depth < 0) return '[Object]';
            const inner = { ...options, depth: depth === null ? options.depth : depth - 1 };
            const shown = this.#list.map((one) => inspect(one[0], inner) + ' => ' + inspect(one[1], inner));
            const { name } = this.constructor;
            if (shown.length === 0) return name + ' {}';
            const line = shown.join(', ');
            return line.length > options.breakLength ? name + ' {\n  ' + shown.join(',\n  ') + ' }' : name + ' { ' + line + ' }';
        }
    }
    Object.defineProperty(URLSearchParams.prototype, Symbol.iterator,
        { value: URLSearchParams.prototype.entries, writable: true, configurable: true });

    // ---- URL.

    class URL {
        #url; #params = null;
        constructor(text, base = undefined) {
            if (arguments.length === 0) throw new TypeError('The "url" argument must be specified');
            const from = base === undefined ? null : parse(word(base));
            const url = base !== undefined && from === null ? null : parse(word(text), from);
            if (url === null) {
                const error = new TypeError('Invalid URL');
                error.code = 'ERR_INVALID_URL';
                error.input = `${text}`;
                throw error;
            }
            this.#url = url;
        }
        static canParse(text, base = undefined) {
            const from = base === undefined ? null : parse(word(base));
            return !(base !== undefined && from === null) && parse(word(text), from) !== null;
        }
        static parse(text, base = undefined) { return URL.canParse(text, base) ? new URL(text, base) : null; }
        #again() { if (this.#params !== null) link(this.#params, this.#url, this.#url.query ?? ''); }
        get href() { return serialize(this.#url); }
        set href(text) {
            const url = parse(word(text));
            if (url === null) throw new TypeError('Invalid URL');
            this.#url = url;
            this.#again();
        }
        get origin() {
            const { scheme, host, port } = this.#url;
            if (scheme === 'blob:') {
                const inner = parse(pathOf(this.#url));
                return inner !== null && /^https?:$/.test(inner.scheme) ? inner.scheme + '//' + inner.host + (inner.port && ':' + inner.port) : 'null';
            }
            return isSpecial(scheme) && scheme !== 'file:' ? scheme + '//' + host + (port !== '' ? ':' + port : '') : 'null';
        }
        get protocol() { return this.#url.scheme; }
        set protocol(text) {
            const found = /^([a-zA-Z][a-zA-Z0-9+.-]*)(:|$)/.exec(word(text));
            const url = this.#url;
            if (found === null) return;
            const scheme = found[1].toLowerCase() + ':';
            if (isSpecial(scheme) !== isSpecial(url.scheme)) return;
            if (scheme === 'file:' && (url.username !== '' || url.password !== '' || url.port !== '')) return;
            if (url.scheme === 'file:' && url.host === '') return;
            url.scheme = scheme;
            if (url.port === ports[scheme]) url.port = '';
        }
        get username() { return this.#url.username; }
        set username(text) { if (this.#takesUser()) this.#url.username = encode(word(text), inUser); }
        get password() { return this.#url.password; }
        set password(text) { if (this.#takesUser()) this.#url.password = encode(word(text), inUser); }
        #takesUser() { return this.#url.host !== null && this.#url.host !== '' && this.#url.scheme !== 'file:'; }
        get host() { const { host, port } = this.#url; return host === null ? '' : port === '' ? host : host + ':' + port; }
        set host(text) { this.#setHost(word(text), true); }
        get hostname() { return this.#url.host ?? ''; }
        set hostname(text) { this.#setHost(word(text), false); }
        #setHost(text, withPort) {
            const url = this.#url;
            if (isOpaque(url)) return;
            text = text.replace(/[\t\n\r]/g, '');
            const end = text.search(isSpecial(url.scheme) ? /[/\\?#]/ : /[/?#]/);
            if (end >= 0) text = text.slice(0, end);
            const split = /^(\[[^\]]*\]|[^:]*)(?::([0-9]*))?/s.exec(text);
            if (split === null || (!withPort && split[2] !== undefined)) return;
            if (split[1] === '' && (isSpecial(url.scheme) ? url.scheme !== 'file:' : url.username !== '' || url.password !== '' || url.port !== '')) return;
            const host = split[1] === '' ? '' : parseHost(split[1], isSpecial(url.scheme));
            if (host === null) return;
            url.host = url.scheme === 'file:' && host === 'localhost' ? '' : host;
            if (withPort && split[2]) this.port = split[2];
        }
        get port() { return this.#url.port; }
        set port(text) {
            if (!this.#takesUser()) return;
            text = word(text).replace(/[\t\n\r]/g, '');
            if (text === '') {
                this.#url.port = '';
                return;
            }
            const digits = /^[0-9]+/.exec(text);
            if (digits === null || +digits[0] > 65535) return;
            this.#url.port = '' + +digits[0] === ports[this.#url.scheme] ? '' : '' + +digits[0];
        }
        get pathname() { return pathOf(this.#url); }
        set pathname(text) {
            const url = this.#url;
            if (isOpaque(url)) return;
            url.path = [];
            const { query } = url;
            pathState(url, word(text).replace(/[\t\n\r]/g, '').replaceAll('?', '%3F').replaceAll('#', '%23'));
            url.query = query;
        }
        get search() { return this.#url.query ? '?' + this.#url.query : ''; }
        set search(text) {
            text = word(text).replace(/[\t\n\r]/g, '');
            if (text === '') this.#url.query = null;
            else setQuery(this.#url, text.startsWith('?') ? text.slice(1) : text);
            this.#again();
        }
        get searchParams() {
            if (this.#params === null) {
                this.#params = new URLSearchParams();
                this.#again();
            }
            return this.#params;
        }
        get hash() { return this.#url.fragment ? '#' + this.#url.fragment : ''; }
        set hash(text) {
            text = word(text).replace(/[\t\n\r]/g, '');
            this.#url.fragment = text === '' ? null : encode(text.startsWith('#') ? text.slice(1) : text, inFragment);
        }
        toString() { return this.href; }
        toJSON() { return this.href; }
        [custom](depth, options, inspect) {
            if (!(#url in this) || (typeof depth === 'number' && depth < 0)) return this;
            const { href, origin, protocol, username, password, host, hostname, port, pathname, search, searchParams, hash } = this;
            return this.constructor.name + ' ' + inspect({ href, origin, protocol, username, password, host, hostname, port,
                pathname, search, searchParams, hash }, options);
        }
    }
    for (const one of [URL, URLSearchParams])
        Object.defineProperty(one.prototype, Symbol.toStringTag, { value: one.name, configurable: true });
    return { __proto__: null, URL, URLSearchParams };
})
