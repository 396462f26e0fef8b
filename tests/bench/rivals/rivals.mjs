// The other ways to run a stranger's script in a QuickJS of its own, with quickjs-emscripten in Node.js:
//
//   context  one module for all, a fresh context for each run
//   thread   a worker thread with a fresh module for each run
//
//     node rivals.mjs runs context|thread RUNS SCRIPT    prints the microseconds of each run, as JSON
//     node rivals.mjs serve context|thread               prints its port; POST {"script"} to run it
import { createServer } from "node:http";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { getQuickJS, newQuickJSWASMModule } from "quickjs-emscripten";

function evaluate(module, script) {
  const context = module.newContext();
  try {
    const value = context.unwrapResult(context.evalCode(script));
    const result = context.dump(value);
    value.dispose();
    return result;
  } finally {
    context.dispose();
  }
}

function inThread(script) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: script });
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

async function waysToRun() {
  const shared = await getQuickJS();
  return { context: (script) => evaluate(shared, script), thread: inThread };
}

async function measure(run, runs, script) {
  const spent = [];
  for (let i = 0; i < runs; ++i) {
    const began = process.hrtime.bigint();
    await run(script);
    spent.push(Number(process.hrtime.bigint() - began) / 1e3);
  }
  console.log(JSON.stringify(spent));
}

function serve(run) {
  const server = createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const { script } = JSON.parse(Buffer.concat(pieces));
    const body = JSON.stringify({ status: "OK", result: await run(script) });
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
    response.end(body);
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
}

if (isMainThread) {
  const [what, way, runs, script] = process.argv.slice(2);
  const run = (await waysToRun())[way];
  if (what === "runs") await measure(run, Number(runs), script);
  else serve(run);
} else {
  parentPort.postMessage(evaluate(await newQuickJSWASMModule(), workerData));
}
