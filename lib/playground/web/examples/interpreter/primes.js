export function* primes(count) {
  const found = [];
  for (let n = 2; found.length < count; ++n) {
    if (found.some((p) => n % p === 0)) continue;
    found.push(n);
    yield n;
  }
}
