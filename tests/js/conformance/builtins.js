// One script a line, and what must come of it: JSON behind //=>, or the beginning of an error behind //!>.
[3, 1, 2].sort()  //=> [1,2,3]
[3, 1, 10, 2].sort()  //=> [1,10,2,3]
[3, 1, 10, 2].sort((a, b) => a - b)  //=> [1,2,3,10]
[1, 2, 3].toSorted((a, b) => b - a)  //=> [3,2,1]
[1, 2, 3].toReversed()  //=> [3,2,1]
[1, 2, 3].with(1, 9)  //=> [1,9,3]
[1, 2, 3, 4].toSpliced(1, 2, "x")  //=> [1,"x",4]
[5, 1, 4].at(-1)  //=> 4
[1, 2, 3].map(x => x * 2)  //=> [2,4,6]
[1, 2, 3, 4].filter(x => x % 2)  //=> [1,3]
[1, 2, 3].reduce((a, b) => a + b)  //=> 6
[1, 2, 3].reduceRight((a, b) => a + "-" + b)  //=> "3-2-1"
[1, [2, [3, [4]]]].flat(Infinity)  //=> [1,2,3,4]
[1, 2].flatMap(x => [x, x * 10])  //=> [1,10,2,20]
[1, 2, 3].indexOf(4)  //=> -1
[NaN].includes(NaN)  //=> true
[NaN].indexOf(NaN)  //=> -1
[1, 2, 3].find(x => x > 1)  //=> 2
[1, 2, 3].findLast(x => x < 3)  //=> 2
[1, 2, 3].findIndex(x => x > 5)  //=> -1
[1, 2, 3].findLastIndex(x => x < 3)  //=> 1
[1, 2, 3].some(x => x > 2)  //=> true
[1, 2, 3].every(x => x > 2)  //=> false
[1, 2, 3, 4, 5].copyWithin(0, 3)  //=> [4,5,3,4,5]
new Array(3).fill(0)  //=> [0,0,0]
Array.from({length: 3}, (_, i) => i * i)  //=> [0,1,4]
Array.from("abc")  //=> ["a","b","c"]
Array.of(7, 8)  //=> [7,8]
Array.isArray([])  //=> true
[1, 2, 3, 4].splice(1, 2)  //=> [2,3]
var a = [1, 2, 3]; a.length = 1; a  //=> [1]
var a = []; a[5] = 1; [a.length, 3 in a]  //=> [6,false]
[1, , 3]  //=> [1,null,3]
[1, , 3].length  //=> 3
[,].length  //=> 1
[1, 2, 3].join("-")  //=> "1-2-3"
[null, undefined, 1].join()  //=> ",,1"
[1, 2, 3].lastIndexOf(3)  //=> 2
[[1, 2], [3, 4]].map(([a, b]) => a + b)  //=> [3,7]
[..."ab"].entries().next().value  //=> [0,"a"]
[...[7, 8].entries()]  //=> [[0,7],[1,8]]
[...[7, 8].keys()]  //=> [0,1]
[3, 2, 1].concat([0], 9)  //=> [3,2,1,0,9]
[1, 2, 3].unshift(0)  //=> 4
var a = [1, 2]; a.push(3, 4); a.shift(); a.pop(); a  //=> [2,3]
Object.keys({b: 1, a: 2, 1: 3, 0: 4})  //=> ["0","1","b","a"]
Object.values({a: 1, b: [2]})  //=> [1,[2]]
Object.entries({a: 1, b: 2})  //=> [["a",1],["b",2]]
Object.fromEntries([["a", 1], ["b", 2]])  //=> {"a":1,"b":2}
Object.assign({a: 1}, {b: 2}, null, {a: 3})  //=> {"a":3,"b":2}
Object.freeze({a: 1}).a  //=> 1
var o = Object.freeze({a: 1}); o.a = 2; o.a  //=> 1
Object.isFrozen(Object.freeze({}))  //=> true
Object.isSealed(Object.seal({a: 1}))  //=> true
Object.isExtensible(Object.preventExtensions({}))  //=> false
Object.getOwnPropertyNames("ab")  //=> ["0","1","length"]
Object.getOwnPropertyDescriptor({get a() { return 1 }}, "a").set === undefined  //=> true
Object.getOwnPropertyDescriptor({a: 1}, "a")  //=> {"value":1,"writable":true,"enumerable":true,"configurable":true}
Object.defineProperty({}, "x", {value: 1}).x  //=> 1
JSON.stringify(Object.defineProperty({a: 1}, "x", {value: 1}))  //=> "{\"a\":1}"
Object.create({a: 1}).a  //=> 1
Object.create(null) instanceof Object  //=> false
Object.is(-0, 0)  //=> false
Object.is(NaN, NaN)  //=> true
Object.hasOwn({a: 1}, "a")  //=> true
({a: 1}).hasOwnProperty("b")  //=> false
Object.groupBy([1, 2, 3], x => x % 2 ? "odd" : "even")  //=> {"odd":[1,3],"even":[2]}
[...Map.groupBy([1, 2, 3], x => x % 2).entries()]  //=> [[1,[1,3]],[0,[2]]]
Object.prototype.toString.call([])  //=> "[object Array]"
Object.prototype.toString.call(null)  //=> "[object Null]"
Object.prototype.toString.call(new Date(0))  //=> "[object Date]"
"abc".at(-1)  //=> "c"
"abc".charAt(1)  //=> "b"
"abc".charCodeAt(1)  //=> 98
"😀".codePointAt(0)  //=> 128512
String.fromCodePoint(128512)  //=> "😀"
"abc".indexOf("c")  //=> 2
"abcabc".lastIndexOf("b")  //=> 4
"abc".includes("bc")  //=> true
"abc".startsWith("b", 1)  //=> true
"abc".endsWith("b", 2)  //=> true
"abc".slice(-2)  //=> "bc"
"abc".substring(2, 0)  //=> "ab"
"a-b-c".split("-")  //=> ["a","b","c"]
"a-b-c".split("-", 2)  //=> ["a","b"]
"abc".split("")  //=> ["a","b","c"]
" a ".trim()  //=> "a"
" a ".trimStart()  //=> "a "
"a".padStart(3, "xy")  //=> "xya"
"a".padEnd(3)  //=> "a  "
"ab".repeat(3)  //=> "ababab"
"aXbX".replace("X", "-")  //=> "a-bX"
"aXbX".replaceAll("X", "-")  //=> "a-b-"
"abc".replace(/(b)/, "[$1$&$`$']")  //=> "a[bbac]c"
"a1b22".replace(/\d+/g, m => m.length)  //=> "a1b2"
"x".concat(1, null)  //=> "x1null"
"ABC".toLowerCase()  //=> "abc"
"straße".toUpperCase()  //=> "STRASSE"
"İ".toLowerCase().length  //=> 2
"a".localeCompare("b")  //=> -1
"\u0041\u030a".normalize("NFC").length  //=> 1
"a,b;c".split(/[,;]/)  //=> ["a","b","c"]
"aBc".search(/[A-Z]/)  //=> 1
"abc".match(/(?<x>b)/).groups.x  //=> "b"
[..."a1b2".matchAll(/[a-z](\d)/g)].map(m => m[1])  //=> ["1","2"]
"abc" < "abd"  //=> true
"ab\ud800c".isWellFormed()  //=> false
"ab\ud800c".toWellFormed() === "ab\ufffdc"  //=> true
"a\tb\n\"\\"  //=> "a\tb\n\"\\"
"\u2028"  //=> " "
/a.c/s.test("a\nc")  //=> true
/^b/m.test("a\nb")  //=> true
/A/i.test("a")  //=> true
/\u{1F600}/u.test("😀")  //=> true
/(?<=\$)\d+/.exec("a$42")[0]  //=> "42"
/(?<!\$)\b\d+/.exec("$42 17")[0]  //=> "17"
/(a)|(b)/.exec("b")  //=> ["b",null,"b"]
/a{2,3}?/.exec("aaaa")[0]  //=> "aa"
/(?:a|ab)(?:c|bcd)(d*)/.exec("abcd")[0]  //=> "abcd"
/\bfoo\b/.test("a foo b")  //=> true
/[\p{L}--[a-z]]/v.test("a")  //=> false
/\p{Script=Greek}/u.test("α")  //=> true
var r = /a/g; r.test("aa"); r.lastIndex  //=> 1
var r = /a/y; [r.test("ba"), r.lastIndex]  //=> [false,0]
new RegExp("a/b").source  //=> "a\\/b"
/a/gi.flags  //=> "gi"
/(?<y>\d{4})-(?<m>\d\d)/.exec("2024-05").groups.m  //=> "05"
"2024-05".replace(/(?<y>\d+)-(?<m>\d+)/, "$<m>/$<y>")  //=> "05/2024"
/(\w)\1/.test("hello")  //=> true
Math.max()  //=> null
Math.min(1, 2, -3)  //=> -3
Math.round(-0.5) === 0  //=> true
Math.round(2.5)  //=> 3
Math.trunc(-4.7)  //=> -4
Math.sign(-3)  //=> -1
Math.hypot(3, 4)  //=> 5
Math.cbrt(27)  //=> 3
Math.log2(8)  //=> 3
Math.fround(5.5)  //=> 5.5
Math.clz32(1)  //=> 31
Math.imul(0xffffffff, 5)  //=> -5
Math.atan2(1, 1) === Math.PI / 4  //=> true
Math.sqrt(2)  //=> 1.4142135623730951
Math.expm1(0)  //=> 0
Math.abs(-0)  //=> 0
Number("0x1f")  //=> 31
Number("")  //=> 0
Number(" 12 ")  //=> 12
Number("1e3")  //=> 1000
Number("abc")  //=> null
Number(null)  //=> 0
Number([5])  //=> 5
Number(true)  //=> 1
parseInt("12px")  //=> 12
parseInt("0x1f")  //=> 31
parseInt("z", 36)  //=> 35
parseFloat("3.14abc")  //=> 3.14
(255).toString(16)  //=> "ff"
(0.5).toString(2)  //=> "0.1"
(1234.5678).toFixed(2)  //=> "1234.57"
(0.000001234).toString()  //=> "0.000001234"
(1e21).toString()  //=> "1e+21"
(123.456).toPrecision(4)  //=> "123.5"
(12345.678).toExponential(2)  //=> "1.23e+4"
Number.MAX_SAFE_INTEGER  //=> 9007199254740991
Number.EPSILON > 0  //=> true
Number.isInteger(5.0)  //=> true
Number.isSafeInteger(2 ** 53)  //=> false
isNaN("x")  //=> true
Number.isNaN("x")  //=> false
isFinite("5")  //=> true
123456789012345680000  //=> 123456789012345680000
1e300 * 1e10  //=> null
-1e-7  //=> -1e-7
5e-324  //=> 5e-324
BigInt("12345678901234567890").toString()  //=> "12345678901234567890"
(2n ** 64n).toString()  //=> "18446744073709551616"
(7n / 2n).toString()  //=> "3"
(-7n % 3n).toString()  //=> "-1"
BigInt.asUintN(8, 257n).toString()  //=> "1"
BigInt.asIntN(8, 255n).toString()  //=> "-1"
1n < 2  //=> true
2n == 2  //=> true
typeof BigInt(5)  //=> "bigint"
(0xffn).toString(2)  //=> "11111111"
new Date(0).toISOString()  //=> "1970-01-01T00:00:00.000Z"
new Date(2024, 0, 31).getMonth()  //=> 0
new Date("2024-02-29T12:00:00Z").getTime()  //=> 1709208000000
new Date(Date.UTC(2024, 1, 30)).getUTCDate()  //=> 1
Date.UTC(2000, 0)  //=> 946684800000
new Date(NaN).getTime()  //=> null
JSON.stringify(new Date(1e12))  //=> "\"2001-09-09T01:46:40.000Z\""
new Date(2020, 5, 15, 10, 20, 30).toISOString()  //=> "2020-06-15T10:20:30.000Z"
new Date("invalid") + ""  //=> "Invalid Date"
Date.parse("2020-01-01")  //=> 1577836800000
new Date(0).getTimezoneOffset()  //=> 0
new Map([[1, "a"], [2, "b"]]).get(2)  //=> "b"
[...new Map([[NaN, 1]]).keys()].length  //=> 1
new Map([[NaN, 1]]).get(NaN)  //=> 1
[...new Set([3, 1, 3])]  //=> [3,1]
new Set([1, 2]).has(2)  //=> true
[...new Set([1, 2, 3]).union(new Set([4]))]  //=> [1,2,3,4]
[...new Set([1, 2, 3]).intersection(new Set([2, 3, 4]))]  //=> [2,3]
new Set([1]).isSubsetOf(new Set([1, 2]))  //=> true
var m = new Map(); m.set("a", 1).set("b", 2); m.delete("a"); m.size  //=> 1
var m = new Map([["a", 1], ["b", 2], ["c", 3]]); var s = ""; for (const [k, v] of m) { s += k + v; m.delete("b") } s  //=> "a1c3"
var w = new WeakMap(), k = {}; w.set(k, 5); w.get(k)  //=> 5
new WeakSet().has({})  //=> false
var o = {a: 1}; new WeakRef(o).deref().a  //=> 1
JSON.stringify({a: [1, {b: 2}], u: undefined, f() {}})  //=> "{\"a\":[1,{\"b\":2}]}"
JSON.stringify([undefined, () => 1, Symbol()])  //=> "[null,null,null]"
JSON.stringify({a: 1, b: 2}, ["b"])  //=> "{\"b\":2}"
JSON.stringify({a: 5}, (k, v) => typeof v === "number" ? v * 2 : v)  //=> "{\"a\":10}"
JSON.stringify({a: [1]}, null, 2)  //=> "{\n  \"a\": [\n    1\n  ]\n}"
JSON.stringify("\u2028\ud800")  //=> "\" \\ud800\""
JSON.stringify({toJSON() { return "j" }})  //=> "\"j\""
JSON.stringify(NaN)  //=> "null"
JSON.stringify(-0)  //=> "0"
JSON.parse("[1, 2, {\"a\": null}]")  //=> [1,2,{"a":null}]
JSON.parse("{\"a\": 1}", (k, v) => k === "a" ? v + 1 : v)  //=> {"a":2}
JSON.parse("\"\\u0041\"")  //=> "A"
JSON.parse("1e3")  //=> 1000
JSON.parse("{\"__proto__\": 5}")["__proto__"]  //=> 5
Symbol("x").toString()  //=> "Symbol(x)"
Symbol("x").description  //=> "x"
Symbol.for("a") === Symbol.for("a")  //=> true
Symbol.keyFor(Symbol.for("q"))  //=> "q"
Object.getOwnPropertySymbols({[Symbol.iterator]: 1}).length  //=> 1
Reflect.ownKeys({b: 1, a: 2, [Symbol("s")]: 3}).length  //=> 3
Reflect.has({a: 1}, "a")  //=> true
Reflect.apply(Math.max, null, [1, 2])  //=> 2
Reflect.construct(Date, [0]).getTime()  //=> 0
Reflect.getPrototypeOf([]) === Array.prototype  //=> true
new Proxy({}, {get: (t, k) => k + "!"}).foo  //=> "foo!"
new Proxy({a: 1}, {has: () => false}) && "a" in new Proxy({a: 1}, {has: () => false})  //=> false
var log = []; var p = new Proxy({}, {set(t, k, v) { log.push(k, v); t[k] = v; return true }}); p.x = 1; log  //=> ["x",1]
Object.keys(new Proxy({}, {ownKeys: () => ["a"], getOwnPropertyDescriptor: () => ({enumerable: true, configurable: true, value: 1})}))  //=> ["a"]
new Proxy(function() {}, {apply: (t, th, a) => a.length})(1, 2, 3)  //=> 3
var r = Proxy.revocable({a: 1}, {}); r.revoke(); try { r.proxy.a } catch (e) { e.name }  //=> "TypeError"
new Uint8Array([1, 256, -1])  //=> {"0":1,"1":0,"2":255}
[...new Uint8Array([1, 256, -1])]  //=> [1,0,255]
[...new Uint8ClampedArray([300, -5, 1.5])]  //=> [255,0,2]
[...new Int16Array([40000])]  //=> [-25536]
[...new Float32Array([0.1])]  //=> [0.10000000149011612]
new Uint8Array(4).length  //=> 4
[...new Uint8Array([1, 2, 3, 4]).subarray(1, 3)]  //=> [2,3]
new Uint16Array(new Uint8Array([1, 2]).buffer)[0]  //=> 513
var b = new ArrayBuffer(8); new DataView(b).setInt16(0, 258); [...new Uint8Array(b)]  //=> [1,2,0,0,0,0,0,0]
new DataView(new ArrayBuffer(8)).getFloat64(0)  //=> 0
new ArrayBuffer(8).slice(2).byteLength  //=> 6
[...new BigInt64Array([5n])].map(String)  //=> ["5"]
Array.from(new Uint8Array([3, 1, 2]).sort())  //=> [1,2,3]
new Float64Array([1.5, 2.5]).reduce((a, b) => a + b)  //=> 4
(function() {}).name  //=> ""
(function foo(a, b) {}).length  //=> 2
(() => 1).bind().name  //=> "bound "
(function() { return this.a }).call({a: 4})  //=> 4
(function(x) { return this.a + x }).bind({a: 4}, 3)()  //=> 7
Function.prototype.toString.call(function f(a) { return a })  //=> "function f(a) { return a }"
encodeURIComponent("a b&ü")  //=> "a%20b%26%C3%BC"
decodeURIComponent("%F0%9F%98%80")  //=> "😀"
encodeURI("http://x/a b?q=ü")  //=> "http://x/a%20b?q=%C3%BC"
escape("ü ")  //=> "%FC%20"
unescape("%u0041")  //=> "A"
globalThis === this  //=> true
typeof globalThis.console.log  //=> "function"
[...(function*() { yield 1; yield 2; yield 3 })().map(x => x * 2).filter(x => x > 2)]  //=> [4,6]
Iterator.from([1, 2, 3]).take(2).toArray()  //=> [1,2]
[1, 2, 3].values().drop(1).reduce((a, b) => a + b)  //=> 5
new Error("m").message  //=> "m"
new TypeError("m") instanceof Error  //=> true
String(new RangeError("r"))  //=> "RangeError: r"
typeof new Error("x").stack  //=> "string"
Number.parseFloat === parseFloat  //=> true
Array.prototype.concat.call(1, 2).length  //=> 2
"abc".substr(-2, 1)  //=> "b"
"x".anchor("y")  //=> "<a name=\"y\">x</a>"
[0, -0].map(x => Object.is(x, -0))  //=> [false,true]
[1, 2, 3] + ""  //=> "1,2,3"
String([1, [2, 3]])  //=> "1,2,3"
String({})  //=> "[object Object]"
String(null)  //=> "null"
`${[]}`  //=> ""
Boolean("")  //=> false
Boolean("false")  //=> true
!!NaN  //=> false
Date.name  //=> "Date"
isNaN(Date.now())  //=> false
Math.random() < 1  //=> true
btoa("abc")  //=> "YWJj"
atob("YWJj")  //=> "abc"
