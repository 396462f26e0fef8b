// deploy/loadtest against a real server, with its compiler, its runtimes and its jails.
import assert from 'node:assert/strict';
import test from 'node:test';

import {serverFor} from '../support/server.mjs';
import {loadtest} from './support.mjs';

async function count(url, path, member) {
  const answer = await fetch(url + path, {headers: {Connection: 'close'}});
  return (await answer.json())[member].length;
}

test('a mix of all kinds: every arrival has its answer, and nothing is left', {timeout: 900_000}, async (t) => {
  const binary = process.env.SANDBOXD_BINARY;
  assert.ok(binary, 'SANDBOXD_BINARY names the server');
  const url = await serverFor(t, binary);
  const mix = {
    seed: 7,
    arrivals: 'uniform',
    warmUpSecs: 1,
    durationSecs: 5,
    timeoutMs: 300_000,  // only a hang takes so long
    kinds: {
      compileHit: {perSec: 4},
      compileMiss: {perSec: 0.4, type: 'c', args: ['-O0']},
      artifact: {perSec: 10},
      execute: {perSec: 20},
      sandbox: {perSec: 1, runtime: 'node'},
      deploy: {perSec: 0.4, runtime: 'node'},
      request: {perSec: 10},
    },
    thresholds: {errorRate: 0, p99Ms: {execute: 300_000}},
  };
  const {code, out, errors, result} = await loadtest(t, mix, url);
  assert.equal(code, 0, out + errors);
  for (const [name, one] of Object.entries(result.kinds)) {
    assert.equal(one.arrivals, Math.round(mix.kinds[name].perSec * mix.durationSecs), name);
    assert.deepEqual([one.scheduled, one.ok, one.latencyMs.count], [one.arrivals, one.arrivals, one.arrivals], name);
  }
  // The warm-up's are not counted.
  assert.equal(result.kinds.sandbox.stepsMs.execute.count, 5);
  assert.equal(result.kinds.deploy.stepsMs.request.count, 2);
  assert.equal(result.notRemoved, 0);
  assert.equal(await count(url, '/sandboxes', 'sandboxes'), 0);
  assert.equal(await count(url, '/faas/deployments', 'deployments'), 0);
});
