// One script a line, as in console.js: what the web's common interface does, printed.
//@ 20-
// Timers and jobs.
setTimeout(() => console.log('later'), 5); console.log('now'); await new Promise((r) => setTimeout(r, 20))
setTimeout(console.log, 1, 'with', 'arguments', 3); await new Promise((r) => setTimeout(r, 20))
for (const ms of [30, 10, 20]) setTimeout(() => console.log(ms), ms); await new Promise((r) => setTimeout(r, 60))
for (let i = 0; i < 5; ++i) setTimeout(() => console.log(i), 5); await new Promise((r) => setTimeout(r, 30))
let n = 0; const t = setInterval(() => { console.log(++n); if (n === 3) clearInterval(t); }, 2); await new Promise((r) => setTimeout(r, 60))
const t = setTimeout(() => console.log('never'), 5); clearTimeout(t); clearTimeout(t); clearTimeout(undefined); clearTimeout(999999); await new Promise((r) => setTimeout(r, 20)); console.log('done')
setTimeout(() => console.log('timer'), 0); Promise.resolve().then(() => console.log('promise')); queueMicrotask(() => console.log('microtask')); console.log('script'); await new Promise((r) => setTimeout(r, 20))
queueMicrotask(() => { console.log(1); queueMicrotask(() => console.log(2)); }); Promise.resolve().then(() => console.log('p')); await new Promise((r) => setTimeout(r, 10))
setTimeout(() => { Promise.resolve().then(() => console.log('between')); console.log('first'); }, 1); setTimeout(() => console.log('second'), 10); await new Promise((r) => setTimeout(r, 40))
await new Promise((r) => setTimeout(r, 10, 'value')).then(console.log)
setTimeout(() => setTimeout(() => console.log('nested'), 1), 1); await new Promise((r) => setTimeout(r, 30))
const a = performance.now(); await new Promise((r) => setTimeout(r, 30)); const took = performance.now() - a; console.log(took >= 29, took < 5000)
const a = Date.now(); await new Promise((r) => setTimeout(r, 30)); console.log(Date.now() - a >= 29)
try { setTimeout('text') } catch (e) { console.log(e.name) } try { setInterval() } catch (e) { console.log(e.name) } try { queueMicrotask(1) } catch (e) { console.log(e.name) }
setTimeout(() => console.log('negative'), -5); setTimeout(() => console.log('NaN'), NaN); setTimeout(() => console.log('text'), '2'); await new Promise((r) => setTimeout(r, 30))
setImmediate(() => console.log('immediate')); const i = setImmediate(() => console.log('never')); clearImmediate(i); await new Promise((r) => setTimeout(r, 20))
let f; const first = setTimeout(() => clearTimeout(f), 2); f = setTimeout(() => console.log('cancelled in time'), 10); await new Promise((r) => setTimeout(r, 30)); console.log('end')
console.log(await Promise.race([new Promise((r) => setTimeout(r, 40, 'slow')), new Promise((r) => setTimeout(r, 1, 'fast'))]))
const sleep = (ms) => new Promise((r) => setTimeout(r, ms)); for (const w of ['a', 'b', 'c']) { await sleep(3); console.log(w); }
console.log(typeof setTimeout, typeof clearTimeout, typeof setInterval, typeof clearInterval, typeof queueMicrotask, typeof structuredClone)
console.log(setTimeout.name, queueMicrotask.name, structuredClone.name, atob.name)
// structuredClone.
console.log(structuredClone({ a: [1, { b: new Date(0) }], m: new Map([[{ k: 1 }, new Set([1])]]), r: /x/gi, n: null, u: undefined }))
const o = { self: null }; o.self = o; const c = structuredClone(o); console.log(c.self === c, c !== o)
const shared = { x: 1 }; const c = structuredClone([shared, shared]); console.log(c[0] === c[1], c[0] !== shared)
console.log(structuredClone([1, , 3]), structuredClone(Object(1n)), structuredClone(new Boolean(false)), structuredClone('text'), structuredClone(-0))
for (const bad of [() => 1, Symbol('s'), { f() {} }, [Symbol('x')], new WeakMap(), Promise.resolve()]) try { structuredClone(bad); console.log('cloned'); } catch (e) { console.log(e.name, e.code, e instanceof DOMException) }
class A { constructor() { this.x = 1; } get y() { return 2; } } console.log(structuredClone(new A()), structuredClone(new A()) instanceof A)
const e = structuredClone(new RangeError('far', { cause: 'why' })); console.log(e instanceof RangeError, e.name, e.message)
console.log(structuredClone(new Uint8Array([1, 2, 3]).subarray(1)), structuredClone(new Uint8Array([9]).buffer).byteLength, structuredClone(new DataView(new ArrayBuffer(4), 1)).byteLength)
const b = new ArrayBuffer(8); const c = structuredClone({ b }, { transfer: [b] }); console.log(b.byteLength, c.b.byteLength)
const o = { get g() { return 'read'; } }; console.log(structuredClone(o), Object.getOwnPropertyDescriptor(structuredClone(o), 'g').value)
console.log(structuredClone(Object.create({ inherited: 1 }, { own: { value: 2, enumerable: true }, hidden: { value: 3 } })))
try { structuredClone() } catch (e) { console.log(e.name) }
// Text.
console.log(new TextEncoder().encode('aß漢😀'), new TextEncoder().encode('half \ud83d'), new TextEncoder().encode(), new TextEncoder().encoding)
const into = new Uint8Array(5); console.log(new TextEncoder().encodeInto('a漢字', into), into)
console.log(new TextDecoder().decode(new TextEncoder().encode('aß漢😀')), new TextDecoder().decode(), new TextDecoder().encoding)
console.log(JSON.stringify(new TextDecoder().decode(new Uint8Array([0x61, 0xff, 0xe6, 0xbc, 0x62, 0xf0, 0x9f, 0x98, 0xc0, 0x80, 0xed, 0xa0, 0x80]))))
const d = new TextDecoder(); let s = ''; for (const b of new TextEncoder().encode('漢😀!')) s += d.decode(new Uint8Array([b]), { stream: true }); console.log(s + d.decode())
try { new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([0xff])) } catch (e) { console.log(e.name) } try { new TextDecoder('nonsense') } catch (e) { console.log(e.name) }
console.log(new TextDecoder('utf-16le').decode(new Uint8Array([0x41, 0, 0x3d, 0xd8, 0, 0xde])), new TextDecoder('latin1').encoding, new TextDecoder(' UTF8 ').encoding)
console.log(JSON.stringify(new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 0x61]))), new TextDecoder('utf-8', { ignoreBOM: true }).decode(new Uint8Array([0xef, 0xbb, 0xbf, 0x61])).length)
console.log(new TextDecoder().decode(new Uint16Array([0x6261])), new TextDecoder().decode(new DataView(new Uint8Array([97, 98]).buffer, 1)), new TextDecoder().decode(new Uint8Array([97]).buffer))
console.log(new TextDecoder().fatal, new TextDecoder('utf-8', { fatal: true }).fatal, new TextDecoder().ignoreBOM)
console.log(btoa('hello'), btoa(''), btoa('\xff\x00'), atob('aGVsbG8='), atob(' aGVs bG8 '), atob('aGVsbG8'), JSON.stringify(atob('/wA=')))
for (const f of [() => btoa('漢'), () => atob('a'), () => atob('a=b='), () => atob('@@@@')]) try { console.log(f()); } catch (e) { console.log(e.name, e.code) }
console.log(encodeURIComponent('ü/?'), decodeURIComponent('%C3%BC'), escape('ü'), unescape('%FC'))
// URL.
const u = new URL('https://user:pa%20ss@Example.COM:8080/a/./b/../c%7E?q=1&r=ü#frag ment'); console.log(u.href, u.origin, u.protocol, u.username, u.password, u.host, u.hostname, u.port, u.pathname, u.search, u.hash)
console.log(new URL('../x?y#z', 'http://h/a/b/c').href, new URL('//other/p', 'https://h/a').href, new URL('/abs', 'http://h/a/b').href, new URL('?q', 'http://h/a?b#c').href, new URL('#f', 'http://h/a?b#c').href, new URL('', 'http://h/a?b#c').href)
console.log(new URL('http://h:80/').href, new URL('https://h:443/').port, new URL('ftp://h:21/x').href, new URL('http://h:0/').port, new URL('ws://h:80').href)
console.log(new URL('HTTP:\\\\h\\a\\b').href, new URL('http:h', 'http://base/x/').href, new URL('  http://h/ \n').href, new URL('ht\ntp://h/\ta').href)
for (const bad of ['', 'x', '/a', 'http://', 'http://a b', 'http://h:x/', 'http://h:65536', 'http://[::1', 'http://1.2.3.256', 'http://a%00b', '//h', 'http://%41%zz', 'https://ex ample']) try { console.log(new URL(bad).href); } catch (e) { console.log(bad, e.name, e.code) }
console.log(new URL('http://127.1/').host, new URL('http://0x7f.0.0.1').host, new URL('http://2130706433').host, new URL('http://1.2.3').host, new URL('http://[2001:DB8:0:0:0:0:0:1]').host, new URL('http://[::ffff:1.2.3.4]').host, new URL('http://%31.1.1.1').host)
console.log(new URL('mailto:a@b.c?subject=x y').href, new URL('data:text/plain,hello world').pathname, new URL('javascript:alert(1)').protocol, new URL('blob:https://h/id').origin, new URL('foo://h/a/../b').href, new URL('foo:/a/../../b').href)
console.log(new URL('file:///C:/a/../b').href, new URL('file:a', 'file:///x/y').href, new URL('file://host/p').host, new URL('file:///a//b/').pathname, new URL('file:c|/x').href)
console.log(new URL('http://münchen.de/ä').href, new URL('http://faß.ExAmPlE/').host, new URL('http://xn--mnchen-3ya.de').host, new URL('http://日本語。jp').host)
const u = new URL('http://h/'); u.protocol = 'https'; u.host = 'x:99'; u.pathname = 'a b'; u.search = 'q=ä'; u.hash = 'ü'; u.username = 'me@'; u.password = ':x'; console.log(u.href); u.port = ''; u.search = ''; u.hash = ''; u.hostname = 'y'; console.log(u.href, String(u), JSON.stringify({ u }))
const u = new URL('http://h/a'); u.port = '70000'; u.port = '81x'; u.host = ''; u.protocol = 'mailto'; u.pathname = '/x/../y'; console.log(u.href); u.href = 'foo:bar'; u.host = 'z'; u.pathname = 'q'; console.log(u.href)
const u = new URL('http://h/?a=1&b=2'); u.searchParams.append('c', 'x y'); u.searchParams.delete('a'); console.log(u.href, u.search); u.search = '?z=1'; console.log([...u.searchParams]); u.searchParams.delete('z'); console.log(u.href)
console.log(URL.canParse('http://h'), URL.canParse('x'), URL.canParse('x', 'http://h'))
try { const u = new URL('http://h'); u.href = 'bad' } catch (e) { console.log(e.name) } console.log(Object.prototype.toString.call(new URL('http://h')))
console.log(new URL('http://h/a b?c d#e f').href, new URL("http://h/'?'#'").href, new URL('http://h/`?`#`').href, new URL('http://h/{}|^?{}|^#{}|^').href, new URL('http://h/%2e/%2E%2e/x').href, new URL('http://h/a%2fb').pathname)
// URLSearchParams.
const p = new URLSearchParams('?a=1&b=2&a=3&c&=d&e=%C3%BC+x%zz'); console.log([...p], p.get('a'), p.getAll('a'), p.get('x'), p.has('c'), p.has('a', '3'), p.size, String(p))
console.log(String(new URLSearchParams({ a: 1, b: 'x y', 'ü&': '=' })), String(new URLSearchParams([['a', 'b'], ['a', 'c']])), String(new URLSearchParams(new Map([['k', 'v']]))), String(new URLSearchParams(new URLSearchParams('q=1'))))
const p = new URLSearchParams('c=3&a=1&b=2&a=0'); p.sort(); console.log(String(p)); p.set('a', 9); p.append('d', null); console.log(String(p)); p.delete('b'); p.delete('a', 'nope'); console.log(String(p)); p.forEach((v, k) => console.log(k, v))
console.log(String(new URLSearchParams("a=~!*()'-._ é\u0000")), [...new URLSearchParams('a=b').keys()], [...new URLSearchParams('a=b').values()], [...new URLSearchParams('a=b').entries()])
for (const f of [() => new URLSearchParams([['a']]), () => new URLSearchParams([1]), () => new URLSearchParams().append('a')]) try { console.log(String(f())); } catch (e) { console.log(e.name) }
console.log(String(new URLSearchParams('half=\ud83d')), String(new URLSearchParams('a&b=&=c')), String(new URLSearchParams('')), String(new URLSearchParams(undefined)), String(new URLSearchParams('a=1&&&b')))
const p = new URLSearchParams('a=1&b=2'); for (const [k, v] of p) { console.log(k, v); if (k === 'a') p.append('c', '3'); }
// Events and aborts.
const t = new EventTarget(); t.addEventListener('x', (e) => console.log(e.type, e.target === t, e.currentTarget === t, e.eventPhase)); console.log(t.dispatchEvent(new Event('x')), t.dispatchEvent(new Event('y')))
const t = new EventTarget(); const f = () => console.log('once'); t.addEventListener('x', f, { once: true }); t.addEventListener('x', f); t.dispatchEvent(new Event('x')); t.dispatchEvent(new Event('x')); t.removeEventListener('x', f)
const t = new EventTarget(); t.addEventListener('x', { handleEvent(e) { console.log(this.n, e.type); }, n: 5 }); t.addEventListener('x', null); t.dispatchEvent(new Event('x'))
const t = new EventTarget(); t.addEventListener('x', (e) => { e.preventDefault(); e.stopImmediatePropagation(); }); t.addEventListener('x', () => console.log('not reached')); const e = new Event('x', { cancelable: true }); console.log(t.dispatchEvent(e), e.defaultPrevented, e.bubbles, e.cancelable, e.composed)
class Button extends EventTarget { click() { this.dispatchEvent(new CustomEvent('click', { detail: { n: 1 } })); } } const b = new Button(); b.addEventListener('click', (e) => console.log(e.detail, e instanceof Event, e.type)); b.click()
console.log(new Event('x').eventPhase, Event.AT_TARGET, new Event('x').isTrusted, new Event('x').target, typeof new Event('x').timeStamp, new CustomEvent('c').detail, new Event('x').composedPath().length)
for (const f of [() => new Event(), () => new EventTarget().dispatchEvent({}), () => Event('x'), () => new AbortSignal(), () => new EventTarget().addEventListener('x')]) try { f(); console.log('fine'); } catch (e) { console.log(e.name) }
const c = new AbortController(); c.signal.addEventListener('abort', () => console.log('aborted', c.signal.aborted, c.signal.reason.name, c.signal.reason.code)); c.signal.onabort = (e) => console.log('on', e.type); c.abort(); c.abort('again'); console.log(c.signal.reason.message)
const c = new AbortController(); console.log(c.signal.aborted, c.signal.reason); c.abort('because'); try { c.signal.throwIfAborted() } catch (e) { console.log(e) }
const s = AbortSignal.abort(); console.log(s.aborted, s.reason.name, AbortSignal.abort(5).reason, s instanceof AbortSignal, s instanceof EventTarget)
const s = AbortSignal.timeout(5); s.addEventListener('abort', (e) => console.log(e.type)); await new Promise((r) => setTimeout(r, 40)); console.log(s.aborted, s.reason.name)
const c = new AbortController(); const s = AbortSignal.any([c.signal, new AbortController().signal]); s.addEventListener('abort', () => console.log('any', s.reason)); c.abort('r'); console.log(s.aborted, AbortSignal.any([AbortSignal.abort('x')]).reason, AbortSignal.any([]).aborted)
const t = new EventTarget(); const c = new AbortController(); t.addEventListener('x', () => console.log('heard'), { signal: c.signal }); t.dispatchEvent(new Event('x')); c.abort(); t.dispatchEvent(new Event('x')); console.log('end')
// crypto, performance and the rest.
const a = crypto.getRandomValues(new Uint8Array(32)); console.log(a.length, a.some((x) => x !== 0), crypto.getRandomValues(new Uint32Array(1)) instanceof Uint32Array)
console.log(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID()), crypto.randomUUID() !== crypto.randomUUID())
for (const f of [() => crypto.getRandomValues(new Float32Array(1)), () => crypto.getRandomValues(new Uint8Array(65537))]) try { f(); console.log('fine'); } catch (e) { console.log(e.name, e instanceof DOMException) }
console.log(typeof performance.now(), performance.now() >= 0, performance.now() <= performance.now(), typeof performance.timeOrigin, Math.abs(performance.timeOrigin + performance.now() - Date.now()) < 1000)
console.log(Object.prototype.toString.call(crypto), Object.prototype.toString.call(new AbortController()), Object.prototype.toString.call(new TextEncoder()), Object.prototype.toString.call(new EventTarget()))
const e = new DOMException('m', 'NotFoundError'); console.log(e.name, e.message, e.code, e instanceof Error, new DOMException().name, DOMException.ABORT_ERR, String(e))
console.log(globalThis.globalThis === globalThis, typeof globalThis.URL, typeof DOMException)
// How these are shown.
console.log(new URL('http://user:pw@host:81/p?x=1&y#f'))
console.log([new URL('http://a')], { a: { b: new URL('http://a/?q') } })
console.log({ a: { b: { c: new URL('http://a/'), d: new Event('x'), e: new URLSearchParams('a=1'), f: new AbortController(), h: new EventTarget(), i: new TextDecoder() } } })
console.log({ b: { d: new CustomEvent('x', { cancelable: true }), e: new URLSearchParams('a=1&b=%27'), f: new AbortController(), g: new TextDecoder('latin1', { fatal: true }) } })
console.log(new URLSearchParams('a=1&b=2'), new URLSearchParams(), new URLSearchParams([['long', 'x'.repeat(60)], ['longer', 'y'.repeat(60)]]))
console.log(new AbortController(), AbortSignal.abort('why'), new EventTarget(), new TextDecoder('utf-16le'))
console.log(new Event('x'))
console.log(new CustomEvent('y', { detail: 5, cancelable: true }))
class Own extends URL {} class Mine extends EventTarget {} console.log(new Own('data:x'), new Mine(), Object.assign(new Mine(), { more: 1 }))
console.log('%o', new URLSearchParams('a=1')); console.log('%j', new URL('http://a'))
console.log({ a: { b: { [Symbol.for('nodejs.util.inspect.custom')]() { return 'two\nlines' } } }, c: [{ [Symbol.for('nodejs.util.inspect.custom')]() { return 'x\ny' } }] })
