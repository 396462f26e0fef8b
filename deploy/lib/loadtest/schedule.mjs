// When each request is due. Made before the first one is sent, so nothing that the server does can change it.

// A stream of numbers in [0, 1) for a seed and a name: sfc32 by Chris Doty-Humphrey (PractRand), seeded by FNV-1a.
export function randomStream(seed, name) {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(`${seed}:${name}`)) hash = Math.imul(hash ^ byte, 0x01000193);
  let a = hash, b = seed | 0, c = ~hash, counter = 1;
  const next = () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 16; ++i) next();
  return next;
}

// Milliseconds from the start. A kind has a stream of its own: its arrivals do not change with the other kinds.
function arrivalsOf(name, perSec, endMs, mix) {
  const random = randomStream(mix.seed, name);
  const gapMs = 1000 / perSec;
  const due = [];
  if (mix.arrivals === 'uniform') {
    // Each at the same distance, from a first one within a gap: kinds of the same rate do not come all at once.
    const first = random() * gapMs;
    for (let i = 0; first + i * gapMs < endMs; ++i) due.push(first + i * gapMs);
  } else {
    // As independent users send them.
    for (let at = -Math.log(1 - random()) * gapMs; at < endMs; at += -Math.log(1 - random()) * gapMs) due.push(at);
  }
  return due;
}

// makeSchedule(MIX): {count, dueMs, kindOf, names}: arrival i is due dueMs[i] milliseconds after the start, in order, and
// is of the kind names[kindOf[i]]. The first warmUpSecs are not counted.
export function makeSchedule(mix) {
  const endMs = (mix.warmUpSecs + mix.durationSecs) * 1000;
  const names = Object.keys(mix.kinds);
  const each = names.map((name) => arrivalsOf(name, mix.kinds[name].perSec, endMs, mix));
  const count = each.reduce((sum, one) => sum + one.length, 0);
  // Shared with the thread that waits.
  const dueMs = new Float64Array(new SharedArrayBuffer(count * 8));
  const kindOf = new Uint8Array(count);
  const at = names.map(() => 0);
  for (let i = 0; i < count; ++i) {
    let first = -1;
    for (let kind = 0; kind < names.length; ++kind) {
      if (at[kind] < each[kind].length && (first < 0 || each[kind][at[kind]] < each[first][at[first]])) first = kind;
    }
    dueMs[i] = each[first][at[first]++];
    kindOf[i] = first;
  }
  return {count, dueMs, kindOf, names};
}
