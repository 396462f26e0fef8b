// One script a line, and what must come of it: JSON behind //=>, or the beginning of an error behind //!>.
throw new TypeError("x")  //!> TypeError: x
throw new Error("")  //!> Error
throw "text"  //!> text
throw 0  //!> 0
throw null  //!> null
throw undefined  //!> undefined
throw {a: 1}  //!> {"a":1}
null.x  //!> TypeError
undefined.f()  //!> TypeError
notDefined  //!> ReferenceError
let a; let a  //!> SyntaxError
1 +  //!> SyntaxError
}  //!> SyntaxError
"use strict"; undeclared = 1  //!> ReferenceError
const c = 1; c = 2  //!> TypeError
x; let x = 1  //!> ReferenceError
[].reduce((a, b) => a)  //!> TypeError
new Array(-1)  //!> RangeError
"a".repeat(Infinity)  //!> RangeError
(1).toFixed(101)  //!> RangeError
decodeURIComponent("%")  //!> URIError
JSON.parse("{")  //!> SyntaxError
new RegExp("(")  //!> SyntaxError
BigInt("x")  //!> SyntaxError
1n + 1  //!> TypeError
Symbol() + 1  //!> TypeError
(function f() { f() })()  //!> RangeError
var o = {}; o.o = o; o  //!> TypeError: the result is a value that holds itself, which JSON cannot carry
10n  //!> TypeError: the result is a BigInt, which JSON cannot carry
2n ** 100n  //!> TypeError: the result is a BigInt, which JSON cannot carry
({a: 1n})  //!> TypeError: the result is a value that holds a BigInt, which JSON cannot carry
() => 1  //!> TypeError: the result is a function, which JSON cannot carry
Symbol("s")  //!> TypeError: the result is a symbol, which JSON cannot carry
({toJSON() { throw new RangeError("j") }})  //!> RangeError: j
({toJSON() { return () => 1 }})  //!> TypeError: the result is a value whose toJSON gives nothing, which JSON cannot carry
({get a() { throw new EvalError("g") }})  //!> EvalError: g
class E extends Error { get name() { return "Mine" } } throw new E("m")  //!> Mine: m
class E extends Error { get message() { throw 1 } } throw new E()  //!> Error
throw new AggregateError([1], "many")  //!> AggregateError: many
Promise.reject(new RangeError("no"))  //!> RangeError: no
Promise.reject(7)  //!> 7
await Promise.reject(new TypeError("t"))  //!> TypeError: t
(async () => { throw new Error("async") })()  //!> Error: async
await (async () => { await null; null.x })()  //!> TypeError
queueMicrotask(() => { throw new Error("job") }); 1  //!> Error: job
import x from "y"  //!> SyntaxError
await import("nowhere")  //!> ReferenceError
eval("throw new Error('inner')")  //!> Error: inner
new Function("return }")  //!> SyntaxError
Object.defineProperty(Object.freeze({}), "a", {value: 1})  //!> TypeError
new Proxy({}, {get() { throw new Error("trap") }}).x  //!> Error: trap
structuredClone(() => 1)  //!> DataCloneError: () => 1 could not be cloned.
require("fs")  //!> ReferenceError
process.exit()  //!> ReferenceError
fetch("http://localhost")  //!> ReferenceError
setTimeout("text")  //!> TypeError
setTimeout(() => { throw new RangeError("in a timer") }, 5)  //!> RangeError: in a timer
new EventTarget().dispatchEvent("x")  //!> TypeError
var t = new EventTarget(); t.addEventListener("x", () => { throw new Error("heard") }); t.dispatchEvent(new Event("x"))  //!> Error: heard
await new Promise((_, fail) => setTimeout(() => fail(new Error("late")), 50))  //!> Error: late
await new Promise((r) => setTimeout(() => r(notDefined), 1))  //!> ReferenceError
Intl  //!> ReferenceError
Temporal  //!> ReferenceError
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)  //!> ReferenceError
