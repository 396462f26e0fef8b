// The parts of deploy/loadtest, without a server.
import assert from 'node:assert/strict';
import test from 'node:test';

import {AnswerReader, Failure} from '../../deploy/lib/loadtest/client.mjs';
import {MixError, readMix} from '../../deploy/lib/loadtest/mix.mjs';
import {judge, KindResult, percentiles, Times} from '../../deploy/lib/loadtest/results.mjs';
import {makeSchedule} from '../../deploy/lib/loadtest/schedule.mjs';
import {readFileSync} from 'node:fs';

const least = {durationSecs: 10, kinds: {execute: {perSec: 100}}};
const mixOf = (changes = {}, options = {}) => readMix(JSON.stringify({...least, ...changes}), options);

test('percentiles of a known distribution', () => {
  // 10 us to 1 s, each once, in an order that is not theirs.
  const times = new Times();
  const count = 100_000;
  for (let i = 0; i < count; ++i) times.add((((i * 7919) % count) + 1) / 100);
  assert.equal(times.count, count);
  for (const percent of percentiles) {
    const exact = Math.ceil((percent / 100) * count) / 100;
    const told = times.percentile(percent);
    // Three significant digits.
    assert.ok(Math.abs(told - exact) <= exact / 1000, `p${percent}: ${told}, not ${exact}`);
  }
  assert.equal(times.percentile(100), 1000);
  assert.equal(times.summary().max, 1000);
  assert.equal(times.summary()['p99.99'] <= 1000, true);
  assert.ok(Math.abs(times.summary().mean - 500.005) < 0.001);
});

test('one slow answer in a thousand is in p99.9 and the largest, not in p99', () => {
  const times = new Times();
  for (let i = 0; i < 9980; ++i) times.add(1);
  for (let i = 0; i < 20; ++i) times.add(800);
  assert.ok(times.percentile(99) < 1.01);
  assert.ok(Math.abs(times.percentile(99.9) - 800) < 1);
  const distribution = times.distribution();
  assert.deepEqual(distribution.at(-1), [100, 800]);
  for (let i = 1; i < distribution.length; ++i) {
    assert.ok(distribution[i][0] > distribution[i - 1][0]);
    assert.ok(distribution[i][1] >= distribution[i - 1][1]);
  }
});

test('no answer: no percentile, and no threshold is kept', () => {
  const results = {execute: new KindResult(1)};
  assert.equal(new Times().percentile(50), undefined);
  assert.deepEqual(new Times().distribution(), []);
  const judged = judge({errorRate: 1, p99Ms: {execute: 1e6}, lateP99Ms: 1e6}, results, new Times());
  assert.deepEqual(judged.map(({name, kept}) => [name, kept]),
                   [['errorRate', false], ['p99Ms.execute', false], ['lateP99Ms', false]]);
});

test('a time-out counts with the time that was waited, a refusal not at all', () => {
  const one = new KindResult(1);
  one.arrivals = 4;
  one.succeeded(1);
  one.failed(new Failure('timeout', ''), 5000);
  one.failed(new Failure('refused', ''), 0.1);
  one.failed(new Failure('status', ''), 0.1);
  assert.equal(one.latency.count, 2);
  assert.equal(one.latency.percentile(99), 5000);
  assert.equal(one.errorRate, 0.75);
});

test('thresholds: at most, so the limit itself is kept', () => {
  const one = new KindResult(1);
  one.arrivals = 10;
  for (let i = 0; i < 9; ++i) one.succeeded(2);
  one.failed(new Failure('status', ''), 1);
  const kept = (thresholds) => judge({p99Ms: {}, ...thresholds}, {execute: one}, new Times()).map((each) => each.kept);
  assert.deepEqual(kept({errorRate: 0.1, p99Ms: {execute: 2}}), [true, true]);
  assert.deepEqual(kept({errorRate: 0.0999, p99Ms: {execute: 1.9}}), [false, false]);
});

test('uniform arrivals: as many as rate and time say, at equal distances', () => {
  const {count, dueMs} = makeSchedule(mixOf({arrivals: 'uniform', warmUpSecs: 2}));
  assert.equal(count, 1200);
  for (let i = 1; i < count; ++i) assert.ok(Math.abs(dueMs[i] - dueMs[i - 1] - 10) < 1e-6);
});

test('Poisson arrivals: in order, as often as asked for, and their distances are exponential', () => {
  const {count, dueMs} = makeSchedule(mixOf({durationSecs: 1000}));
  // Five standard deviations.
  assert.ok(Math.abs(count - 100_000) < 5 * Math.sqrt(100_000), `${count}`);
  let longerThanMean = 0;
  for (let i = 1; i < count; ++i) {
    assert.ok(dueMs[i] >= dueMs[i - 1]);
    if (dueMs[i] - dueMs[i - 1] > 10) ++longerThanMean;
  }
  assert.ok(Math.abs(longerThanMean / count - Math.exp(-1)) < 0.01, `${longerThanMean / count}`);
});

test('a seed has its arrivals, and a kind has its own whatever else is sent', () => {
  const kinds = {execute: {perSec: 50}, artifact: {perSec: 70}};
  const of = (mix, name) => {
    const {dueMs, kindOf, names} = makeSchedule(mix);
    return [...dueMs].filter((_, i) => names[kindOf[i]] === name);
  };
  const both = of(mixOf({kinds}), 'execute');
  assert.deepEqual(of(mixOf({kinds}), 'execute'), both);
  assert.deepEqual(of(mixOf({kinds: {execute: {perSec: 50}}}), 'execute'), both);
  assert.notDeepEqual(of(mixOf({kinds}, {seed: 2}), 'execute'), both);
  assert.equal(of(mixOf({kinds}, {scale: 2}), 'execute').length > both.length, true);
});

test('the mix that comes with the command is right', () => {
  const mix = readMix(readFileSync(new URL('../../deploy/loadtest.json', import.meta.url), 'utf8'));
  assert.deepEqual(Object.keys(mix.kinds),
                   ['compileHit', 'compileMiss', 'artifact', 'execute', 'sandbox', 'deploy', 'request']);
});

test('what is wrong in a mix is refused by its name', () => {
  const wrong = [
    [{duration: 3}, /^duration: is not known here; known are seed/],
    [{kinds: {}}, /^kinds: must have at least one/],
    [{kinds: {exec: {perSec: 1}}}, /^kinds\.exec: is not known/],
    [{kinds: {execute: {}}}, /^kinds\.execute\.perSec: must be a number/],
    [{kinds: {execute: {perSec: 0}}}, /^kinds\.execute\.perSec/],
    [{kinds: {execute: {perSec: '5'}}}, /^kinds\.execute\.perSec/],
    [{kinds: {execute: {perSec: 1, runtime: 'node'}}}, /^kinds\.execute\.runtime: is not known/],
    [{kinds: {sandbox: {perSec: 1, runtime: 'perl'}}}, /^kinds\.sandbox\.runtime: must be one of node/],
    [{kinds: {compileMiss: {perSec: 1, args: '-O1'}}}, /^kinds\.compileMiss\.args: must be a list/],
    [{durationSecs: -1}, /^durationSecs/],
    [{durationSecs: null}, /^durationSecs/],
    [{seed: 1.5}, /^seed: must be a whole number/],
    [{arrivals: 'burst'}, /^arrivals/],
    [{timeoutMs: 0}, /^timeoutMs/],
    [{maxConnections: 0}, /^maxConnections/],
    [{thresholds: {p99: {}}}, /^thresholds\.p99: is not known/],
    // A threshold for what is not sent would be kept for ever.
    [{thresholds: {p99Ms: {deploy: 5}}}, /^thresholds\.p99Ms\.deploy: is not known here; known are execute/],
    [{thresholds: {errorRate: 2}}, /^thresholds\.errorRate/],
    [{durationSecs: 86400, kinds: {execute: {perSec: 100000}}}, /^kinds: are more than 20000000 requests/],
  ];
  for (const [changes, message] of wrong) {
    assert.throws(() => mixOf(changes), (error) => error instanceof MixError && message.test(error.message),
                  `${JSON.stringify(changes)} should say ${message}`);
  }
  assert.throws(() => readMix('{'), MixError);
  assert.throws(() => readMix('[]'), MixError);
});

const answers = [
  ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', 200, 'hello', true],
  ['HTTP/1.1 200\r\ncontent-length:0\r\n\r\n', 200, '', true],
  ['HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', 200, 'ok', true],
  ['HTTP/1.1 204 No Content\r\nX: y\r\n\r\n', 204, '', true],
  ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n06\r\n world\r\n0\r\nTrailer: 1\r\n\r\n', 200,
   'hello world', true],
  ['HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx', 503, 'x', false],
  ['HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx', 200, 'x', false],
];

test('answers are read from pieces of any size', () => {
  for (const [text, status, body, keepAlive] of answers) {
    const bytes = Buffer.from(text);
    for (let cut = 1; cut <= bytes.length; ++cut) {
      const reader = new AnswerReader('GET');
      let whole = false;
      for (let at = 0; at < bytes.length; at += cut) {
        assert.equal(whole, false, `${JSON.stringify(text)} is whole too early, in pieces of ${cut}`);
        whole = reader.push(bytes.subarray(at, at + cut));
      }
      assert.equal(whole, true, `${JSON.stringify(text)} is not whole, in pieces of ${cut}`);
      assert.deepEqual([reader.status, reader.body.toString(), reader.keepAlive, reader.rest.length],
                       [status, body, keepAlive, 0]);
    }
  }
});

test('an answer without a length ends with its connection; one that is cut does not', () => {
  const open = new AnswerReader('GET');
  assert.equal(open.push(Buffer.from('HTTP/1.1 200 OK\r\n\r\nhel')), false);
  assert.equal(open.push(Buffer.from('lo')), false);
  assert.equal(open.close(), true);
  assert.equal(open.body.toString(), 'hello');
  const cut = new AnswerReader('GET');
  cut.push(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel'));
  assert.equal(cut.close(), false);
});

test('what is no HTTP/1.1 is refused', () => {
  for (const text of [
    'SSH-2.0-x\r\n\r\n',
    'HTTP/2 200\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n',
    'HTTP/1.1 200 OK\r\nno colon\r\n\r\n',
    'HTTP/1.1 101 Switching\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n',
    `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(70_000)}`,
  ]) {
    assert.throws(() => new AnswerReader('GET').push(Buffer.from(text)), Failure, JSON.stringify(text.slice(0, 80)));
  }
});
