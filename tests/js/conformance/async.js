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
