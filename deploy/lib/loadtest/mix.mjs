// Reads the file that says what to send: strictly, so that a misspelt threshold is an error and not a test that passes.

export class MixError extends Error {}

// The kinds, in the order of the table, each with the members that it has beside perSec.
export const kinds = {
  compileHit: ['type', 'code', 'args'],
  compileMiss: ['type', 'code', 'args'],
  artifact: [],
  execute: ['script'],
  sandbox: ['runtime', 'code'],
  deploy: ['runtime', 'code'],
  request: ['runtime', 'code'],
};

// Each arrival takes 9 bytes, each answer none.
const maxArrivals = 20_000_000;

const members = ['seed', 'warmUpSecs', 'durationSecs', 'arrivals', 'timeoutMs', 'maxConnections', 'kinds', 'thresholds'];
const types = ['c', 'cpp', 'cc', 'c++'];
const runtimes = ['node', 'bun', 'typescript', 'python'];

function fail(path, what) {
  throw new MixError(`${path}: ${what}`);
}

function object(value, path, known) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) fail(path, 'must be an object');
  for (const name of Object.keys(value)) {
    if (!known.includes(name)) fail(path ? `${path}.${name}` : name, `is not known here; known are ${known.join(', ')}`);
  }
  return value;
}

function number(value, path, {least, most, whole = false}) {
  if (typeof value !== 'number' || !(value >= least && value <= most) || (whole && !Number.isInteger(value)))
    fail(path, `must be ${whole ? 'a whole number' : 'a number'} from ${least} to ${most}`);
  return value;
}

function oneOf(value, path, allowed) {
  if (!allowed.includes(value)) fail(path, `must be one of ${allowed.join(', ')}`);
  return value;
}

function text(value, path) {
  if (typeof value !== 'string') fail(path, 'must be a string');
  return value;
}

function readKind(name, from) {
  const path = `kinds.${name}`;
  object(from, path, ['perSec', ...kinds[name]]);
  const made = {perSec: number(from.perSec, `${path}.perSec`, {least: 0.0001, most: 100_000})};
  if (kinds[name].includes('type')) made.type = oneOf(from.type ?? 'c', `${path}.type`, types);
  if (kinds[name].includes('runtime')) made.runtime = oneOf(from.runtime ?? 'node', `${path}.runtime`, runtimes);
  for (const one of ['code', 'script']) {
    if (from[one] !== undefined) made[one] = text(from[one], `${path}.${one}`);
  }
  if (from.args !== undefined) {
    if (!Array.isArray(from.args)) fail(`${path}.args`, 'must be a list of strings');
    made.args = from.args.map((arg, at) => text(arg, `${path}.args[${at}]`));
  }
  return made;
}

function readThresholds(from, sent) {
  object(from, 'thresholds', ['errorRate', 'p99Ms', 'lateP99Ms']);
  const made = {p99Ms: {}};
  if (from.errorRate !== undefined)
    made.errorRate = number(from.errorRate, 'thresholds.errorRate', {least: 0, most: 1});
  if (from.lateP99Ms !== undefined)
    made.lateP99Ms = number(from.lateP99Ms, 'thresholds.lateP99Ms', {least: 0, most: 3_600_000});
  if (from.p99Ms !== undefined) {
    object(from.p99Ms, 'thresholds.p99Ms', sent);
    for (const [name, most] of Object.entries(from.p99Ms))
      made.p99Ms[name] = number(most, `thresholds.p99Ms.${name}`, {least: 0, most: 3_600_000});
  }
  return made;
}

// readMix(TEXT, {seed, durationSecs, scale}): the mix with defaults filled in; the options, where given, win over the
// file. Throws MixError, which names the member.
export function readMix(source, options = {}) {
  let from;
  try {
    from = JSON.parse(source);
  } catch (error) {
    throw new MixError(`not JSON: ${error.message}`);
  }
  object(from, '', members);
  const mix = {
    seed: number(options.seed ?? from.seed ?? 1, 'seed', {least: 0, most: 2 ** 32 - 1, whole: true}),
    warmUpSecs: number(from.warmUpSecs ?? 0, 'warmUpSecs', {least: 0, most: 86_400}),
    durationSecs: number(options.durationSecs ?? from.durationSecs, 'durationSecs', {least: 0.1, most: 86_400}),
    arrivals: oneOf(from.arrivals ?? 'poisson', 'arrivals', ['poisson', 'uniform']),
    timeoutMs: number(from.timeoutMs ?? 30_000, 'timeoutMs', {least: 1, most: 3_600_000}),
    maxConnections: number(from.maxConnections ?? 512, 'maxConnections', {least: 1, most: 60_000, whole: true}),
    kinds: {},
  };
  const scale = number(options.scale ?? 1, '--scale', {least: 0.0001, most: 100_000});
  object(from.kinds ?? {}, 'kinds', Object.keys(kinds));
  for (const name of Object.keys(kinds)) {
    if (from.kinds?.[name] === undefined) continue;
    mix.kinds[name] = readKind(name, from.kinds[name]);
    mix.kinds[name].perSec *= scale;
  }
  const sent = Object.keys(mix.kinds);
  if (sent.length === 0) fail('kinds', `must have at least one of ${Object.keys(kinds).join(', ')}`);
  mix.thresholds = readThresholds(from.thresholds ?? {}, sent);
  const perSec = sent.reduce((sum, name) => sum + mix.kinds[name].perSec, 0);
  if (perSec * (mix.warmUpSecs + mix.durationSecs) > maxArrivals)
    fail('kinds', `are more than ${maxArrivals} requests in that time; use a lower rate or a shorter time`);
  return mix;
}
