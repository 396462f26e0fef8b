// A thread that does nothing but wait until the next arrival is due, and then wakes the one that sends. Node.js' own
// timers count whole milliseconds, longer than many answers take.
import {isMainThread, parentPort, Worker, workerData} from 'node:worker_threads';

const stopped = 0;
const called = 1;

const mostInATurn = 32;

function beat({dueMs, cells, startNs}) {
  const now = () => Number(process.hrtime.bigint() - startNs) / 1e6;
  for (let next = 0; next < dueMs.length && Atomics.load(cells, stopped) === 0;) {
    const left = dueMs[next] - now();
    if (left > 0) {
      Atomics.wait(cells, stopped, 0, left);
      continue;
    }
    while (next < dueMs.length && dueMs[next] <= now()) ++next;
    // One call is enough for all that are due when it is heard.
    if (Atomics.exchange(cells, called, 1) === 0) parentPort.postMessage(0);
  }
}

if (!isMainThread) beat(workerData);

// startMetronome(DUE, CALL): calls CALL(i, now) for each arrival i at dueMs[i], in order, as soon after as the thread
// can. Returns {originMs, ended, stop}: the start as performance.now(), a promise for when all were called, and a way to end
// it before.
export function startMetronome(dueMs, call) {
  const cells = new Int32Array(new SharedArrayBuffer(8));
  // The start lies ahead, so that the thread is there for the first arrival.
  const startNs = process.hrtime.bigint() + 200_000_000n;
  const originMs = performance.now() + Number(startNs - process.hrtime.bigint()) / 1e6;
  const now = () => performance.now() - originMs;
  const worker = new Worker(new URL(import.meta.url), {workerData: {dueMs, cells, startNs}});
  let next = 0;
  let end;
  const ended = new Promise((resolve, reject) => {
    end = resolve;
    worker.on('error', reject);
  });
  const callWhatIsDue = () => {
    // Before the clock is read: what becomes due after that is called for again.
    Atomics.store(cells, called, 0);
    for (let calls = 0; next < dueMs.length && dueMs[next] <= now(); ++calls) {
      // Answers are read between two turns, however late the calls are.
      if (calls === mostInATurn) return void setImmediate(callWhatIsDue);
      call(next, now());
      ++next;
    }
    if (next === dueMs.length) end();
  };
  worker.on('message', callWhatIsDue);
  const stop = () => {
    Atomics.store(cells, stopped, 1);
    Atomics.notify(cells, stopped);
    next = dueMs.length;
    end();
  };
  if (dueMs.length === 0) end();
  return {originMs, ended, stop};
}
