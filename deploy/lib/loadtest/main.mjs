// deploy/loadtest, which says what this does and how it is called.
import {randomBytes} from 'node:crypto';
import {readFileSync, writeFileSync} from 'node:fs';

import {Client, Failure} from './client.mjs';
import {Kinds} from './kinds.mjs';
import {startMetronome} from './metronome.mjs';
import {MixError, readMix} from './mix.mjs';
import {judge, KindResult, table, Times} from './results.mjs';
import {makeSchedule} from './schedule.mjs';

const exits = {kept: 0, exceeded: 1, usage: 2, notBegun: 3, interrupted: 130};
const worthAWarningMs = 10;

class UsageError extends Error {}

function readArguments(words) {
  const options = {};
  const rest = [];
  const valued = {'--json': 'json', '--key-file': 'keyFile', '--ca-file': 'caFile'};
  const numbers = {'--seed': 'seed', '--duration': 'durationSecs', '--scale': 'scale'};
  while (words.length > 0) {
    const word = words.shift();
    const name = valued[word] ?? numbers[word];
    if (name === undefined) {
      if (word.startsWith('-')) throw new UsageError(`unknown option '${word}'; --help lists them`);
      rest.push(word);
      continue;
    }
    const value = words.shift();
    if (value === undefined) throw new UsageError(`${word} needs a value`);
    options[name] = word in numbers ? Number(value) : value;
    if (word in numbers && (value.trim() === '' || Number.isNaN(options[name])))
      throw new UsageError(`${word} needs a number, not '${value}'`);
  }
  if (rest.length !== 2) throw new UsageError('expected MIX and URL; --help has an example');
  [options.mix, options.url] = rest;
  let url;
  try {
    url = new URL(options.url);
  } catch {
    throw new UsageError(`'${options.url}' is no URL; expected one such as http://localhost:8080`);
  }
  if (!['http:', 'https:'].includes(url.protocol)) throw new UsageError(`${options.url}: only http and https are known`);
  if (url.search || url.hash || url.username) throw new UsageError(`${options.url}: a base URL has no ?, # or user`);
  return options;
}

function readFile(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${error.message}`);
  }
}

function readKey(path) {
  const key = readFile(path).trim();
  // RFC 6750, section 2.1: anything else could end the field.
  if (!/^[A-Za-z0-9._~+/-]+=*$/.test(key)) throw new UsageError(`${path} does not hold one bearer key`);
  return key;
}

// Sends the whole schedule, and waits until each arrival has an answer or a reason why it has none.
async function sendAll(mix, schedule, makers, results, late, stop) {
  const warmUpMs = mix.warmUpSecs * 1000;
  let under = 0;
  let settled = () => {};
  const run = async (i, nowMs) => {
    const name = schedule.names[schedule.kindOf[i]];
    const dueMs = schedule.dueMs[i];
    const result = results[name];
    const counted = dueMs >= warmUpMs;
    counted ? ++result.arrivals : ++result.warmUp;
    if (counted) late.add(nowMs - dueMs);
    const dueAt = metronome.originMs + dueMs;
    ++under;
    try {
      const onStep = (step, ms) => counted && result.step(step, ms);
      const answeredAt = await makers.run(name, dueAt + mix.timeoutMs, onStep);
      if (counted) result.succeeded(answeredAt - dueAt);
    } catch (error) {
      const failure = error instanceof Failure ? error : new Failure('body', `not as expected: ${error.message}`);
      if (counted) result.failed(failure, performance.now() - dueAt);
    }
    if (--under === 0) settled();
  };
  const metronome = startMetronome(schedule.dueMs, (i, nowMs) => void run(i, nowMs));
  stop.addEventListener('abort', metronome.stop);
  if (stop.aborted) metronome.stop();
  await metronome.ended;
  await new Promise((resolve) => (under === 0 ? resolve() : (settled = resolve)));
}

async function main() {
  const options = readArguments(process.argv.slice(2));
  let mix;
  try {
    mix = readMix(readFile(options.mix), options);
  } catch (error) {
    throw error instanceof MixError ? new UsageError(`${options.mix}: ${error.message}`) : error;
  }
  const client = new Client(options.url, {
    maxConnections: mix.maxConnections,
    key: options.keyFile && readKey(options.keyFile),
    ca: options.caFile && readFile(options.caFile),
  });
  const nonce = randomBytes(8).toString('hex');
  const makers = new Kinds(client, mix, nonce);
  const results = {};
  for (const [name, kind] of Object.entries(mix.kinds)) results[name] = new KindResult(kind.perSec);
  const late = new Times();
  const schedule = makeSchedule(mix);
  for (let i = 0; i < schedule.count; ++i) {
    const result = results[schedule.names[schedule.kindOf[i]]];
    if (schedule.dueMs[i] >= mix.warmUpSecs * 1000) ++result.scheduled;
  }
  const stop = new AbortController();
  // A second one ends the program at once.
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());
  let startedAt;
  const cpuBefore = process.cpuUsage();
  try {
    await makers.prepare();
    startedAt = new Date().toISOString();
    await sendAll(mix, schedule, makers, results, late, stop.signal);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    console.error(`deploy/loadtest: cannot begin: ${options.url}: ${error.message}`);
    return exits.notBegun;
  } finally {
    await makers.cleanUp();
    client.close();
  }
  const cpu = process.cpuUsage(cpuBefore);
  const thresholds = judge(mix.thresholds, results, late);
  const kept = thresholds.every((one) => one.kept);
  const result = {
    url: options.url, startedAt, seed: mix.seed, nonce, arrivals: mix.arrivals, warmUpSecs: mix.warmUpSecs,
    durationSecs: mix.durationSecs, timeoutMs: mix.timeoutMs, interrupted: stop.signal.aborted,
    generator: {lateMs: late.summary(), connections: {limit: mix.maxConnections, ...client.counts},
                cpuSecs: (cpu.user + cpu.system) / 1e6},
    kinds: results, notRemoved: makers.notRemoved, thresholds, kept,
  };
  const text = `${JSON.stringify(result, null, 2)}\n`;
  if (options.json === '-') process.stdout.write(text);
  else console.log(table(result, results, late));
  if (options.json && options.json !== '-') writeFileSync(options.json, text);
  if (late.percentile(99) > worthAWarningMs)
    console.error('deploy/loadtest: warning: this program was late itself, which counts as time of the server; give it a processor of its own, or lower the rates');
  if (stop.signal.aborted) return exits.interrupted;
  return kept ? exits.kept : exits.exceeded;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`deploy/loadtest: ${error.message}`);
  process.exitCode = exits.usage;
}
