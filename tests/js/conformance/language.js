// One script a line, and what must come of it: JSON behind //=>, or the beginning of an error behind //!>.
1+2  //=> 3
"use strict"; (function(){ return this === undefined })()  //=> true
(function(){ return typeof this })()  //=> "object"
var a = 1, b = 2; [a, b] = [b, a]; [a, b]  //=> [2,1]
let {x, y: {z = 5} = {}} = {x: 1}; [x, z]  //=> [1,5]
const [p, , q = 3, ...r] = [1, 2, undefined, 4, 5]; [p, q, r]  //=> [1,3,[4,5]]
(function(a, b = a + 1, ...c) { return [a, b, c, arguments.length] })(1, undefined, 3, 4)  //=> [1,2,[3,4],4]
((a, b) => a * b)(6, 7)  //=> 42
(() => ({a: 1}))()  //=> {"a":1}
var s = ""; for (const c of "a😀b") s += c + "."; s  //=> "a.😀.b."
var k = []; for (const i in {a: 1, b: 2, 1: 0}) k.push(i); k  //=> ["1","a","b"]
var n = 0; outer: for (let i = 0; i < 5; i++) { for (let j = 0; j < 5; j++) { if (j === 3) continue outer; if (i === 3) break outer; n++ } } n  //=> 9
var f = []; for (let i = 0; i < 3; i++) f.push(() => i); f.map(g => g())  //=> [0,1,2]
var f = []; for (var i = 0; i < 3; i++) f.push(() => i); f.map(g => g())  //=> [3,3,3]
switch (3) { case 1: "a"; break; case 3: "c"; case 4: "d"; break; default: "z" }  //=> "d"
try { null.x } catch (e) { e instanceof TypeError }  //=> true
try { throw 5 } catch (e) { e + 1 } finally { 9 }  //=> 6
(function(){ try { return 1 } finally { return 2 } })()  //=> 2
(function(){ for (;;) { try { return 1 } finally { break } } return 3 })()  //=> 3
typeof undeclared  //=> "undefined"
typeof null  //=> "object"
typeof (() => 1)  //=> "function"
typeof Symbol.iterator  //=> "symbol"
typeof 1n  //=> "bigint"
void 0  //=> null
null ?? "d"  //=> "d"
0 ?? "d"  //=> 0
0 || "d"  //=> "d"
1 && 2  //=> 2
null?.x  //=> null
({a: {b: 1}}).a?.b  //=> 1
({}).f?.()  //=> null
({f() { return 4 }}).f?.()  //=> 4
var o = {a: 1}; o.a ??= 5; o.b ??= 6; o.c ||= 7; o.a &&= 8; o  //=> {"a":8,"b":6,"c":7}
2 ** 10  //=> 1024
(-2) ** 3  //=> -8
2 ** 3 ** 2  //=> 512
7 % -3  //=> 1
-7 % 3  //=> -1
5 / 0 === Infinity  //=> true
1 / -0 === -Infinity  //=> true
0.1 + 0.2  //=> 0.30000000000000004
0.1 + 0.2 === 0.3  //=> false
1 << 31  //=> -2147483648
1 >>> 0  //=> 1
-1 >>> 0  //=> 4294967295
-1 >> 1  //=> -1
~5  //=> -6
5 & 3 | 8 ^ 2  //=> 11
"5" * "2"  //=> 10
"5" + 2  //=> "52"
5 + +"2"  //=> 7
[] + []  //=> ""
[] + {}  //=> "[object Object]"
[1] == 1  //=> true
null == undefined  //=> true
null == 0  //=> false
NaN == NaN  //=> false
"b" > "a"  //=> true
"10" < "9"  //=> true
10 < 9  //=> false
[10] < [9]  //=> true
1 < 2 < 3  //=> true
3 > 2 > 1  //=> false
(1, 2, 3)  //=> 3
var x = 1; x++ + ++x  //=> 4
delete [].length  //=> false
"a" in {a: 1}  //=> true
1 in [5, 6]  //=> true
[] instanceof Array  //=> true
[] instanceof Object  //=> true
(function() { return new.target === undefined })()  //=> true
class A { constructor() { this.t = new.target === B } } class B extends A {} new B().t  //=> true
class P { #v = 3; get v() { return this.#v } set v(n) { this.#v = n } has(o) { return #v in o } } const p = new P(); p.v = 9; [p.v, p.has(p), p.has({})]  //=> [9,true,false]
class S { static n = 1; static #m = 2; static { S.n += S.#m } } S.n  //=> 3
class C { static s() { return "s" } m() { return "m" } } class D extends C { static s() { return super.s() + "d" } m() { return super.m() + "d" } } [D.s(), new D().m()]  //=> ["sd","md"]
class G { *[Symbol.iterator]() { yield 1; yield 2 } } [...new G()]  //=> [1,2]
class X { ["a" + 1]() { return 7 } } new X().a1()  //=> 7
class Q { x = this.constructor.name } new Q().x  //=> "Q"
class E extends Error { constructor(m) { super(m); this.name = "E" } } String(new E("hi"))  //=> "E: hi"
class L extends Array { sum() { return this.reduce((a, b) => a + b, 0) } } L.from([1, 2, 3]).map(x => x * 2).sum()  //=> 12
function* g() { const x = yield 1; yield x * 2 } const i = g(); [i.next().value, i.next(21).value, i.next().done]  //=> [1,42,true]
function* g() { try { yield 1 } finally { yield 2 } } const i = g(); [i.next().value, i.return(5).value, i.next().value]  //=> [1,2,5]
function* a() { yield* [1, 2]; return 3 } function* b() { const r = yield* a(); yield r } [...b()]  //=> [1,2,3]
function* fib() { let [a, b] = [0, 1]; for (;;) { yield a; [a, b] = [b, a + b] } } const out = []; for (const v of fib()) { if (v > 50) break; out.push(v) } out  //=> [0,1,1,2,3,5,8,13,21,34]
`a${1 + 1}b${"c"}`  //=> "a2bc"
((s, ...v) => s.raw.join("|") + v.join(","))`x${1}\n${2}y`  //=> "x|\\n|y1,2"
String.raw`\u00e9${1}`  //=> "\\u00e91"
"\x41\u{1F600}\u0042".length  //=> 4
({a: 1, ...{b: 2, a: 3}, c: 4})  //=> {"a":3,"b":2,"c":4}
[...[1, 2], ...new Set([2, 3])]  //=> [1,2,2,3]
Math.max(...[1, 5, 3])  //=> 5
({get a() { return 1 }, set a(v) {}, ["b" + 1]: 2, c() { return 3 }}).b1  //=> 2
var o = {n: 1, get d() { return this.n * 2 }, set d(v) { this.n = v }}; o.d = 5; o.d  //=> 10
({__proto__: {a: 1}}).a  //=> 1
({toString() { return "t" }}) + ""  //=> "t"
({valueOf() { return 4 }}) * 2  //=> 8
({[Symbol.toPrimitive](h) { return h }}) + ""  //=> "default"
`${{[Symbol.toPrimitive](h) { return h }}}`  //=> "string"
eval("1 + 1")  //=> 2
var x = 1; (function() { var x = 2; return eval("x") })()  //=> 2
var x = 1; (function() { var x = 2; return (0, eval)("x") })()  //=> 1
new Function("a", "b", "return a + b")(1, 2)  //=> 3
(function f(n) { return n < 2 ? 1 : n * f(n - 1) })(10)  //=> 3628800
(function() { return arguments.length })(...[1, 2, 3])  //=> 3
(function(a) { arguments[0] = 9; return a })(1)  //=> 9
(function(a) { "use strict"; arguments[0] = 9; return a })(1)  //=> 1
f(); function f() { return "hoisted" }  //=> "hoisted"
var v = typeof h; { function h() {} } v  //=> "undefined"
try { tdz; let tdz = 1 } catch (e) { e.name }  //=> "ReferenceError"
try { const c = 1; c = 2 } catch (e) { e.name }  //=> "TypeError"
try { undefinedName } catch (e) { e.message }  //=> "undefinedName is not defined"
try { (void 0)() } catch (e) { e.name }  //=> "TypeError"
try { new (class { #p; static t(o) { return o.#p } }).constructor.t({}) } catch (e) { e.name }  //=> "TypeError"
try { eval("let a; let a") } catch (e) { e.name }  //=> "SyntaxError"
try { eval("1 +") } catch (e) { e.name }  //=> "SyntaxError"
try { [].reduce((a, b) => a) } catch (e) { e.name }  //=> "TypeError"
try { new Array(-1) } catch (e) { e.name }  //=> "RangeError"
try { "x".repeat(-1) } catch (e) { e.name }  //=> "RangeError"
try { decodeURIComponent("%") } catch (e) { e.name }  //=> "URIError"
try { BigInt(1.5) } catch (e) { e.name }  //=> "RangeError"
try { 1n + 1 } catch (e) { e.name }  //=> "TypeError"
try { Symbol() + "" } catch (e) { e.name }  //=> "TypeError"
try { throw new AggregateError([1, 2], "m") } catch (e) { [e.name, e.message, e.errors] }  //=> ["AggregateError","m",[1,2]]
try { throw new Error("a", {cause: 5}) } catch (e) { e.cause }  //=> 5
if (false) 1  //=> null
do { 5 } while (false)  //=> 5
var a = []; for (var i = 0, j = 10; i < j; i += 3, j--) a.push(i + j); a  //=> [10,12,14]
var x = 0; while (true) { if (++x > 4) break } x  //=> 5
label: { 1; break label; }  //=> 1
with ({wx: 5}) wx  //=> 5
0b101 + 0o17 + 0xff  //=> 275
1_000_000  //=> 1000000
.5 + 5.  //=> 5.5
010  //=> 8
/* c */ 1 // d  //=> 1
