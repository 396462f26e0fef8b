import { primes } from "./primes.js";

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

console.log("first primes:", [...primes(10)]);
// Timers take no time: the interpreter's clock jumps to the next one.
const began = performance.now();
await sleep(1000);
console.log("slept", Math.round(performance.now() - began), "ms");

export default { last: [...primes(100)].at(-1) };
