// One script a line, and what must come of it: JSON behind //=>, or the beginning of an error behind //!>.
await 5  //=> 5
await Promise.resolve(6)  //=> 6
await Promise.all([1, Promise.resolve(2), new Promise(r => r(3))])  //=> [1,2,3]
await Promise.race([new Promise(() => {}), Promise.resolve("r")])  //=> "r"
await Promise.any([Promise.reject(1), Promise.resolve(2)])  //=> 2
await Promise.allSettled([Promise.reject(1), 2])  //=> [{"status":"rejected","reason":1},{"status":"fulfilled","value":2}]
Promise.resolve({a: 1})  //=> {"a":1}
Promise.resolve(1).then(x => x + 1)  //=> 2
new Promise(r => queueMicrotask(() => r("q")))  //=> "q"
(async () => { let s = 0; for await (const x of [1, Promise.resolve(2), 3]) s += x; return s })()  //=> 6
(async () => { try { await Promise.reject(new Error("x")) } catch (e) { return e.message } })()  //=> "x"
async function* g() { yield 1; yield 2 } const out = []; for await (const v of g()) out.push(v); out  //=> [1,2]
const order = []; Promise.resolve().then(() => order.push(2)); order.push(1); await null; order  //=> [1,2]
const order = []; (async () => { order.push(1); await null; order.push(3) })(); order.push(2); await null; order  //=> [1,2,3]
let v = 0; const p = (async () => { v = 1; await 0; v = 2 })(); await p; v  //=> 2
await {then(r) { r("thenable") }}  //=> "thenable"
const {promise, resolve} = Promise.withResolvers(); resolve(4); await promise  //=> 4
await (await (async () => async () => 9)())()  //=> 9
[await 1, await 2]  //=> [1,2]
Promise.reject(1).catch(x => x + 1).finally(() => 5)  //=> 2
await new Promise(r => r(Promise.resolve("nested")))  //=> "nested"
var x = await 3; x * 2  //=> 6
new Promise((r) => setTimeout(r, 1000, "a second later"))  //=> "a second later"
var n = 0; var t = setInterval(() => { if (++n === 5) clearInterval(t) }, 10); new Promise((r) => setTimeout(() => r(n), 200))  //=> 5
var log = []; setTimeout(() => log.push("timer")); Promise.resolve().then(() => log.push("job")); log.push("script"); new Promise((r) => setTimeout(r, 5, log))  //=> ["script","job","timer"]
setTimeout(() => { globalThis.late = 1 }, 10); 5  //=> 5
AbortSignal.timeout(20).aborted  //=> false
new Promise((r) => AbortSignal.timeout(20).addEventListener("abort", (e) => r(e.target.reason.name)))  //=> "TimeoutError"
// A promise that is rejected and that nothing handles.
(async () => { throw new Error("lost") })(); 1  //!> Error: lost
async function main() { await null; null.x } main(); 1  //!> TypeError
Promise.reject(7); 1  //!> 7
setTimeout(async () => { throw new Error("in a timer") }, 1); 1  //!> Error: in a timer
setInterval(async () => { throw new Error("first") }, 1); 1  //!> Error: first
queueMicrotask(async () => { throw new Error("in a job") }); 1  //!> Error: in a job
new Promise((yes, no) => no(new RangeError("no"))).then(() => 1); 1  //!> RangeError: no
Promise.resolve().finally(() => { throw new Error("finally") }); 1  //!> Error: finally
Promise.all([Promise.reject(new Error("of all")), 1]); 1  //!> Error: of all
const t = new EventTarget(); t.addEventListener("x", async () => { throw new Error("listener") }); t.dispatchEvent(new Event("x")); 1  //!> Error: listener
Promise.reject(new Error("first")); Promise.reject(new Error("second")); 1  //!> Error: first
const handled = Promise.reject(new Error("first")); Promise.reject(new Error("second")); handled.catch(() => {}); 1  //!> Error: second
const late = Promise.reject(new Error("too late")); setTimeout(() => late.catch(() => {}), 1); 1  //!> Error: too late
const p = Promise.reject(1); p.then(() => {}, () => {}); 1  //=> 1
const p = Promise.reject(1); await null; p.catch(() => {}); 1  //=> 1
const p = Promise.reject(1); queueMicrotask(() => p.catch(() => {})); 1  //=> 1
const p = (async () => { throw 1 })(); let got; try { await p } catch (e) { got = e } got  //=> 1
const a = Promise.reject(1), b = Promise.reject(2); Promise.race([a, b]).catch(() => {}); await Promise.any([a, b]).catch((e) => e.errors)  //=> [1,2]
async function* g() { throw new Error("x") } let got; try { for await (const one of g()) got = one } catch (e) { got = e.message } got  //=> "x"
async function* g() { yield Promise.reject(new Error("y")) } const it = g(); await it.next().catch((e) => e.message)  //=> "y"
await import("nowhere").catch(() => "caught")  //=> "caught"
let got; try { await import("nowhere") } catch { got = "caught" } got  //=> "caught"
const all = []; for (let i = 0; i < 5000; ++i) all.push(Promise.reject(i)); for (const one of all.reverse()) one.catch(() => {}); all.length  //=> 5000
