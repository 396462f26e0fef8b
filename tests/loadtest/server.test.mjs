// deploy/loadtest against a real server, with its compiler, its runtimes and its jails.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {join} from 'node:path';
import test from 'node:test';

import {directoryFor, loadtest} from './support.mjs';

async function startServer(t) {
  const binary = process.env.SANDBOXD_BINARY;
  assert.ok(binary, 'SANDBOXD_BINARY names the server');
  // Before the one that removes the directory: they run in this order.
  t.after(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  const child = spawn(binary, ['--addr', '127.0.0.1:0', '--working-dir', join(directoryFor(t), 'work')],
                      {stdio: ['ignore', 'pipe', 'inherit']});
  const ended = new Promise((resolve) => child.on('close', resolve));
  return new Promise((resolve, reject) => {
    let out = '';
    child.stdout.on('data', (piece) => {
      out += piece;
      const ready = /^sandboxd listening on (http:\S+)\n/m.exec(out);
      if (ready) resolve(ready[1]);
    });
    ended.then(() => reject(new Error(`the server has ended before it was ready: ${out}`)));
  });
}

async function count(url, path, member) {
  const answer = await fetch(url + path, {headers: {Connection: 'close'}});
  return (await answer.json())[member].length;
}

test('a mix of all kinds: every arrival has its answer, and nothing is left', {timeout: 900_000}, async (t) => {
  const url = await startServer(t);
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
