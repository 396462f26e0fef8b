// Counts and times, and what is said about them.
import {createHistogram} from 'node:perf_hooks';

import {causes} from './client.mjs';

export const percentiles = [50, 75, 90, 95, 99, 99.9, 99.99];

// Of HdrHistogram, which Node.js has built in: three significant digits from a microsecond to hours.
const significantDigits = 3;
const highestUs = 24 * 3600 * 1e6;

// Times in milliseconds.
export class Times {
  constructor() {
    this.histogram = createHistogram({lowest: 1, highest: highestUs, figures: significantDigits});
    this.count = 0;
    this.mostMs = 0;
    this.sumMs = 0;
  }

  add(ms) {
    this.histogram.record(Math.min(Math.max(1, Math.round(ms * 1000)), highestUs));
    ++this.count;
    this.mostMs = Math.max(this.mostMs, ms);
    this.sumMs += ms;
  }

  // The value that so many percent do not exceed; undefined if there is none.
  percentile(percent) {
    if (this.count === 0) return undefined;
    // A bucket is named by its highest value, which may be above the largest that is in it.
    return Math.min(this.histogram.percentile(percent) / 1000, this.mostMs);
  }

  summary() {
    const at = {};
    for (const percent of percentiles) at[`p${percent}`] = rounded(this.percentile(percent));
    return {count: this.count, mean: rounded(this.count && this.sumMs / this.count), ...at, max: rounded(this.mostMs)};
  }

  // HdrHistogram's percentile distribution: five steps for each halving of the rest, down to the last value.
  distribution() {
    const points = [];
    for (let half = 1; this.count > 0 && half / 2 <= this.count; half *= 2) {
      for (let step = 0; step < 5; ++step) {
        const percent = 100 - (100 / half) * (1 - step / 10);
        if (percent > 0) points.push([rounded(percent, 6), rounded(this.percentile(percent))]);
      }
    }
    if (this.count > 0) points.push([100, rounded(this.mostMs)]);
    return points;
  }
}

function rounded(value, digits = 3) {
  return value === undefined ? undefined : Number(value.toFixed(digits));
}

// One kind of request.
export class KindResult {
  constructor(perSec) {
    this.perSec = perSec;
    this.scheduled = 0;
    this.warmUp = 0;
    this.arrivals = 0;
    this.ok = 0;
    this.errors = Object.fromEntries(causes.map((cause) => [cause, 0]));
    this.examples = {};
    this.latency = new Times();
    this.steps = {};
  }

  succeeded(ms) {
    ++this.ok;
    this.latency.add(ms);
  }

  // Those who got no answer in time have waited for at least so long; without them, a server that answers only some
  // would look fast. Refusals are fast, and would make it look fast, too.
  failed(failure, ms) {
    ++this.errors[failure.cause];
    this.examples[failure.cause] ??= failure.message;
    if (failure.cause === 'timeout') this.latency.add(ms);
  }

  step(name, ms) {
    (this.steps[name] ??= new Times()).add(ms);
  }

  get errorCount() {
    return Object.values(this.errors).reduce((sum, one) => sum + one, 0);
  }

  get errorRate() {
    return this.arrivals === 0 ? 0 : this.errorCount / this.arrivals;
  }

  toJSON() {
    return {
      perSec: this.perSec,
      scheduled: this.scheduled,
      arrivals: this.arrivals,
      warmUpArrivals: this.warmUp,
      ok: this.ok,
      errors: this.errors,
      errorRate: rounded(this.errorRate, 6),
      examples: this.examples,
      latencyMs: this.latency.summary(),
      distributionMs: this.latency.distribution(),
      stepsMs: Object.fromEntries(Object.entries(this.steps).map(([name, times]) => [name, times.summary()])),
    };
  }
}

// judge(THRESHOLDS, KINDS, LATE): [{name, limit, value, kept}]. What cannot be told, because nothing was measured, is not
// kept.
export function judge(thresholds, results, late) {
  const made = [];
  const add = (name, limit, value) =>
    made.push({name, limit, value: value === undefined ? null : rounded(value, 6), kept: value !== undefined && value <= limit});
  const all = Object.values(results);
  if (thresholds.errorRate !== undefined) {
    const arrivals = all.reduce((sum, one) => sum + one.arrivals, 0);
    const errors = all.reduce((sum, one) => sum + one.errorCount, 0);
    add('errorRate', thresholds.errorRate, arrivals === 0 ? undefined : errors / arrivals);
  }
  for (const [kind, most] of Object.entries(thresholds.p99Ms))
    add(`p99Ms.${kind}`, most, results[kind].latency.percentile(99));
  if (thresholds.lateP99Ms !== undefined) add('lateP99Ms', thresholds.lateP99Ms, late.percentile(99));
  return made;
}

function cell(value) {
  if (value === undefined) return '-';
  return value >= 1000 ? value.toFixed(0) : value >= 100 ? value.toFixed(1) : value >= 10 ? value.toFixed(2) : value.toFixed(3);
}

// The table, for people.
export function table(result, results, late) {
  const columns = [50, 90, 99, 99.9, 99.99];
  const row = (name, numbers, times) =>
    name.padEnd(18) + numbers.map((one) => String(one).padStart(9)).join('') +
    columns.map((percent) => cell(times.percentile(percent)).padStart(9)).join('') +
    cell(times.count ? times.mostMs : undefined).padStart(9);
  const lines = [
    `${result.url}: ${result.durationSecs} s after ${result.warmUpSecs} s of warm-up, seed ${result.seed}; ` +
      'milliseconds from when a request was due',
    'kind'.padEnd(18) + ['a second', 'arrivals', 'ok', 'errors'].map((one) => one.padStart(9)).join('') +
      columns.map((percent) => `p${percent}`.padStart(9)).join('') + 'max'.padStart(9),
  ];
  for (const [name, one] of Object.entries(results)) {
    lines.push(row(name, [Number(one.perSec.toFixed(3)), one.arrivals, one.ok, one.errorCount], one.latency));
    for (const [step, times] of Object.entries(one.steps)) lines.push(row(`  ${step}`, ['', times.count, '', ''], times));
  }
  for (const [name, one] of Object.entries(results)) {
    for (const [cause, count] of Object.entries(one.errors))
      if (count > 0) lines.push(`${name}: ${count} × ${cause}, such as: ${one.examples[cause]}`);
  }
  const {connections} = result.generator;
  lines.push(
    `sent late by this program: p50 ${cell(late.percentile(50))}, p99 ${cell(late.percentile(99))}, ` +
      `max ${cell(late.count ? late.mostMs : undefined)} ms; connections: ${connections.most} at once, ` +
      `${connections.opened} opened, ${connections.waited} requests waited for one`);
  if (result.notRemoved > 0) lines.push(`${result.notRemoved} sandboxes or deployments could not be removed`);
  for (const one of result.thresholds)
    lines.push(`${one.kept ? 'kept' : 'EXCEEDED'}: ${one.name} ${one.value ?? 'unknown'}, at most ${one.limit}`);
  return lines.join('\n');
}
