// What each kind of request is: what it needs beforehand, what it sends, and what counts as its answer.
import {createHash} from 'node:crypto';

import {Failure} from './client.mjs';

// Compiled once before the test, for the kinds that ask for what is there already.
const sourcesKept = 4;
// Of what is made before the test and of what is removed after it, however patient the test itself is.
const helpMs = 120_000;

const sources = {
  c: '#include <stdio.h>\nint main(void) { puts("{{serial}}"); return 0; }\n',
  cpp: '#include <cstdio>\nint main() { std::puts("{{serial}}"); }\n',
};
const script = '[1, 2, 3].map(x => x * x)';
const programs = {
  node: 'console.log("hello")',
  bun: 'console.log("hello")',
  typescript: 'console.log("hello" as string)',
  python: 'print("hello")',
};
const servers = {
  node: 'require("http").createServer((q, r) => r.end("hello")).listen(process.env.PORT)',
  bun: 'Bun.serve({port: process.env.PORT, fetch: () => new Response("hello")})',
  typescript:
    'import { createServer } from "http";\ncreateServer((q: any, r: any) => r.end("hello")).listen(process.env.PORT);',
  python:
    'import http.server, os\n' +
    'class Hello(http.server.BaseHTTPRequestHandler):\n' +
    '    protocol_version = "HTTP/1.1"\n' +
    '    def do_GET(self):\n' +
    '        self.send_response(200)\n' +
    '        self.send_header("Content-Length", "5")\n' +
    '        self.end_headers()\n' +
    '        self.wfile.write(b"hello")\n' +
    '    def log_message(self, *words): pass\n' +
    'http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Hello).serve_forever()\n',
};

function explain(answer) {
  return `status ${answer.status}: ${answer.body.toString("utf8", 0, 300).replace(/\s+/g, " ").trim()}`;
}

function check(answer, status) {
  if (answer.status === status) return;
  // The server says "not now": it is full, this client has too many, or it shuts down.
  const refused = answer.status === 429 || answer.status === 503;
  throw new Failure(refused ? 'refused' : 'status', explain(answer));
}

function json(answer, status = 200) {
  check(answer, status);
  try {
    return JSON.parse(answer.body.toString());
  } catch {
    throw new Failure('body', 'the answer is no JSON');
  }
}

function want(right, what, answer) {
  if (!right) throw new Failure('body', `${what}: ${explain(answer)}`);
}

// A source that the server has not seen: the serial is in the program itself, so that no tool knows it, either.
function withSerial(source, serial) {
  return source.includes('{{serial}}') ? source.replaceAll('{{serial}}', serial) : `// ${serial}\n${source}`;
}

function compileRequest(kind, serial) {
  const source = kind.code ?? sources[kind.type === 'c' ? 'c' : 'cpp'];
  return {type: kind.type, code: withSerial(source, serial), ...(kind.args && {args: kind.args})};
}

// One request of a kind, from its arrival on: steps(NAME, SINCE-MS) are told how long each part took.
class Arrival {
  constructor(client, deadline, onStep) {
    this.client = client;
    this.deadline = deadline;
    this.onStep = onStep;
    this.answeredAt = 0;
    this.leftovers = [];
  }

  async send(step, method, path, value) {
    const from = performance.now();
    const answer = await this.client.request(method, path, value, this.deadline);
    if (step) this.onStep(step, performance.now() - from);
    return answer;
  }

  // The user has what he waits for; what follows is not part of his time.
  answered() {
    this.answeredAt = performance.now();
  }

  // To be deleted, whatever happens.
  remove(path) {
    this.leftovers.push(path);
  }
}

export class Kinds {
  // The nonce makes the sources of this test new to a server that has seen the same test before.
  constructor(client, mix, nonce) {
    this.client = client;
    this.mix = mix.kinds;
    this.nonce = nonce;
    this.serials = 0;
    this.kept = [];
    this.artifacts = [];
    this.deployment = undefined;
    this.turn = 0;
    this.notRemoved = 0;
  }

  get(path) {
    return this.client.request('GET', path, undefined, performance.now() + helpMs);
  }

  post(path, value) {
    return this.client.request('POST', path, value, performance.now() + helpMs);
  }

  async delete(path) {
    try {
      const answer = await this.client.request('DELETE', path, undefined, performance.now() + helpMs);
      if (answer.status !== 204 && answer.status !== 404) ++this.notRemoved;
    } catch {
      ++this.notRemoved;
    }
  }

  // Makes what the kinds of the mix need. Throws Failure.
  async prepare() {
    // An answer, whatever it is, of a server that is there.
    await this.get('/livez');
    if (this.mix.compileHit || this.mix.artifact) {
      const kind = this.mix.compileHit ?? {type: 'c'};
      for (let i = 0; i < sourcesKept; ++i) {
        const request = compileRequest(kind, `${this.nonce} kept ${i}`);
        const made = json(await this.post('/compile', request));
        this.kept.push(request);
        this.artifacts.push(...made.artifacts.map(({url, bytes, sha256}) => ({url, bytes, sha256})));
      }
    }
    if (this.mix.request) {
      const {runtime, code} = this.mix.request;
      const answer = await this.post('/faas/deploy', {runtime, code: code ?? servers[runtime]});
      const made = json(answer, answer.status === 201 ? 201 : 200);
      this.deployment = `/faas/${made.deployment_id}`;
      check(await this.get(`${this.deployment}/`), 200);
    }
  }

  async cleanUp() {
    if (this.deployment) await this.delete(this.deployment.replace('/faas/', '/faas/deployments/'));
    this.deployment = undefined;
  }

  // Runs one arrival of the kind NAME and returns when its answer was there, as performance.now(). Throws Failure.
  async run(name, deadline, onStep) {
    const arrival = new Arrival(this.client, deadline, onStep);
    try {
      await this[name](arrival, this.mix[name]);
      return arrival.answeredAt || performance.now();
    } finally {
      for (const path of arrival.leftovers) {
        const from = performance.now();
        await this.delete(path);
        onStep('delete', performance.now() - from);
      }
    }
  }

  async compileHit(arrival) {
    const answer = await arrival.send('', 'POST', '/compile', this.kept[this.turn++ % this.kept.length]);
    want(json(answer).cached === true, 'it was not in the store', answer);
  }

  async compileMiss(arrival, kind) {
    const answer = await arrival.send('', 'POST', '/compile', compileRequest(kind, `${this.nonce} ${++this.serials}`));
    want(json(answer).cached === false, 'it was in the store', answer);
  }

  async artifact(arrival) {
    const {url, bytes, sha256} = this.artifacts[this.turn++ % this.artifacts.length];
    const answer = await arrival.send('', 'GET', url);
    check(answer, 200);
    arrival.answered();
    const right = answer.body.length === bytes && createHash('sha256').update(answer.body).digest('hex') === sha256;
    if (!right) throw new Failure('body', `${url} is not the ${bytes} bytes that the compile made`);
  }

  async execute(arrival, kind) {
    const answer = await arrival.send('', 'POST', '/execute', {script: kind.script ?? script});
    want(json(answer).status === 'OK', 'the script failed', answer);
  }

  async sandbox(arrival, kind) {
    const program = {runtime: kind.runtime, code: kind.code ?? programs[kind.runtime]};
    const {id} = json(await arrival.send('create', 'POST', '/sandbox', program));
    arrival.remove(`/sandbox/${id}`);
    const answer = await arrival.send('execute', 'POST', `/sandbox/${id}/execute`);
    want(json(answer).success === true, 'the program failed', answer);
    arrival.answered();
  }

  async deploy(arrival, kind) {
    const program = {runtime: kind.runtime, code: kind.code ?? servers[kind.runtime]};
    const created = await arrival.send('create', 'POST', '/faas/deploy', program);
    const {deployment_id: id} = json(created);
    arrival.remove(`/faas/deployments/${id}`);
    check(await arrival.send('request', 'GET', `/faas/${id}/`), 200);
    arrival.answered();
  }

  async request(arrival) {
    check(await arrival.send('', 'GET', `${this.deployment}/`), 200);
  }
}
