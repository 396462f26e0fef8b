// deploy/loadtest against servers that misbehave by the count, so that what it must tell is known to the last request.
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'node:test';
import tls from 'node:tls';

import {Client} from '../../deploy/lib/loadtest/client.mjs';
import {answer, directoryFor, loadtest, ok, standIn} from './support.mjs';

const uniform = {arrivals: 'uniform', timeoutMs: 60_000};
// Only guards against a hang.
const patienceMs = 120_000;

test('every arrival is accounted for, by what has become of it', async (t) => {
  const sorts = [
    (socket) => socket.write(ok),
    (socket) => socket.write(answer(503, '{"code":"queue_full"}')),
    (socket) => socket.write(answer(500, '{}')),
    (socket) => socket.write(answer(200, 'no JSON')),
    (socket) => socket.destroy(),
    () => {},  // no answer, ever
    (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{'),
    (socket) => socket.write('HTTP/1.1 429 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n'),
  ];
  const server = await standIn(t, (socket, header, number) => sorts[(number - 1) % sorts.length](socket));
  // Long enough for a machine that is busy: whoever is answered at all must be answered in time.
  const timeoutMs = 15_000;
  const mix = {...uniform, timeoutMs, durationSecs: 2, kinds: {execute: {perSec: 40}}};
  const {code, result} = await loadtest(t, mix, server.url);
  const {execute} = result.kinds;
  assert.equal(code, 0);  // there are no thresholds
  assert.equal(execute.scheduled, 80);
  assert.equal(execute.arrivals, 80);
  assert.equal(server.requests, 80);  // none was sent twice
  assert.equal(execute.ok, 10);
  assert.deepEqual(execute.errors, {refused: 20, status: 10, body: 10, connection: 20, timeout: 10});
  assert.equal(execute.errorRate, 70 / 80);
  // Ten that were answered, and ten that have waited for all that time.
  assert.equal(execute.latencyMs.count, 20);
  assert.ok(execute.latencyMs.p90 >= timeoutMs);
});

test('coordinated omission is avoided: a pause counts for all that were due in it', async (t) => {
  // One connection, and a server that does not answer for a second after the first request. A generator that waits for
  // the answer before it goes on would measure one long time. Each of the 100 that were due in the first half of the
  // pause has waited for half a second at least, however fast or slow this machine is.
  const pauseMs = 1000;
  let open;
  const server = await standIn(t, (socket) => {
    open ??= new Promise((resolve) => setTimeout(resolve, pauseMs));
    open.then(() => socket.write(ok));
  });
  const mix = {...uniform, maxConnections: 1, durationSecs: 3, kinds: {execute: {perSec: 200}}};
  const {result} = await loadtest(t, mix, server.url);
  const {latencyMs, distributionMs, ok: answered, arrivals} = result.kinds.execute;
  assert.deepEqual([arrivals, answered, latencyMs.count], [600, 600, 600]);
  const waitedLong = distributionMs.filter(([, ms]) => ms >= pauseMs / 2).map(([percent]) => percent);
  // So at most 500 of 600 were faster: 83.3 percent.
  assert.ok(Math.min(...waitedLong) <= 85, `${JSON.stringify(distributionMs)}`);
  assert.ok(latencyMs.p90 >= pauseMs / 2);
  assert.ok(latencyMs.max >= pauseMs - 5);
  assert.equal(result.generator.connections.most, 1);
  assert.ok(result.generator.connections.waited >= 100);
});

test('the load is open: requests are sent when due, not when others are answered', async (t) => {
  // Nothing is answered before all have come.
  const held = [];
  const server = await standIn(t, (socket) => {
    held.push(socket);
    if (held.length === 100) for (const one of held) one.write(ok);
  });
  const mix = {...uniform, maxConnections: 100, durationSecs: 1, kinds: {execute: {perSec: 100}}};
  const {result} = await loadtest(t, mix, server.url);
  assert.equal(result.kinds.execute.ok, 100);
  assert.equal(result.generator.connections.most, 100);
});

test('warm-up is sent and not counted', async (t) => {
  const server = await standIn(t, (socket, header, number) => socket.write(number <= 50 ? answer(500, '{}') : ok));
  const mix = {...uniform, warmUpSecs: 1, durationSecs: 1, maxConnections: 1, kinds: {execute: {perSec: 50}}};
  const {result} = await loadtest(t, mix, server.url);
  const {execute} = result.kinds;
  assert.deepEqual([execute.warmUpArrivals, execute.arrivals, execute.ok, server.requests], [50, 50, 50, 100]);
});

test('thresholds decide the exit code', async (t) => {
  const server = await standIn(t, (socket, header, number) => socket.write(number % 10 === 0 ? answer(500, '{}') : ok));
  const of = async (thresholds) => {
    server.requests = 0;
    const mix = {...uniform, durationSecs: 1, maxConnections: 1, kinds: {execute: {perSec: 40}}, thresholds};
    const {code, result} = await loadtest(t, mix, server.url);
    assert.equal(result.kept, code === 0);
    return code;
  };
  assert.equal(await of({errorRate: 0.1}), 0);
  assert.equal(await of({errorRate: 0.09}), 1);
  assert.equal(await of({errorRate: 0.1, p99Ms: {execute: 3_600_000}}), 0);
  assert.equal(await of({errorRate: 0.1, p99Ms: {execute: 0}}), 1);
});

test('what cannot begin says so, and is neither a pass nor a failed threshold', async (t) => {
  const mix = {durationSecs: 1, kinds: {execute: {perSec: 1}}};
  const gone = await standIn(t, () => {});
  const nobody = await new Promise((resolve) => {
    const server = tls.createServer().listen(0, '127.0.0.1', () => {
      const {port} = server.address();
      server.close(() => resolve(port));
    });
  });
  const unreachable = await loadtest(t, mix, `http://127.0.0.1:${nobody}`);
  assert.equal(unreachable.code, 3);
  assert.match(unreachable.errors, /cannot begin: http:.*ECONNREFUSED/);
  const full = await standIn(t, (socket) => socket.write(answer(503, '{"code":"unavailable"}')));
  const unprepared = await loadtest(t, {durationSecs: 1, kinds: {artifact: {perSec: 1}}}, full.url);
  assert.equal(unprepared.code, 3);
  assert.match(unprepared.errors, /unavailable/);
  for (const [words, url, message] of [
    [['--seed', 'x'], gone.url, /--seed needs a number/],
    [['--fast'], gone.url, /unknown option '--fast'/],
    [['--key-file', '/nonexistent'], gone.url, /cannot read \/nonexistent/],
    [[], 'ftp://x', /only http and https/],
    [[], 'localhost', /is no URL/],
  ]) {
    const {code, errors} = await loadtest(t, mix, url, {words});
    assert.equal(code, 2, errors);
    assert.match(errors, message);
  }
  const {code, errors} = await loadtest(t, {...mix, thresholds: {p99Ms: {sandbox: 1}}}, gone.url);
  assert.equal(code, 2);
  assert.match(errors, /mix\.json: thresholds\.p99Ms\.sandbox: is not known here/);
});

test('a key from a file goes with each request, and nowhere else', async (t) => {
  const server = await standIn(t, (socket) => socket.write(ok));
  const file = join(directoryFor(t), 'key');
  writeFileSync(file, 'k3y-of.a~tenant==\n');
  const mix = {...uniform, durationSecs: 1, kinds: {execute: {perSec: 10}}};
  const {code, out, errors} = await loadtest(t, mix, `${server.url}/below/`, {words: ['--key-file', file]});
  assert.equal(code, 0);
  assert.equal(server.headers.length, 11);  // with the one before the test, which is below the path, too
  for (const header of server.headers) {
    assert.match(header, /\r\nAuthorization: Bearer k3y-of\.a~tenant==(\r\n|$)/);
    assert.match(header, /^(POST \/below\/execute|GET \/below\/livez) HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\n/);
  }
  assert.doesNotMatch(out + errors, /k3y/);
  writeFileSync(file, 'two\r\nX-Admin: 1\n');
  assert.equal((await loadtest(t, mix, server.url, {words: ['--key-file', file]})).code, 2);
});

test('an interrupted test tells what it has, and waits for what is under way', async (t) => {
  let child;
  const server = await standIn(t, (socket, header, number) => {
    if (number === 20) child.kill('SIGINT');
    socket.write(ok);
  });
  const mix = {...uniform, durationSecs: 3600, kinds: {execute: {perSec: 50}}, thresholds: {errorRate: 0}};
  const {code, result} = await loadtest(t, mix, server.url, {onStart: (started) => {
    // What is killed is the shell's successor: it has become Node.js.
    child = started;
  }});
  assert.equal(code, 130);
  assert.equal(result.interrupted, true);
  const {execute} = result.kinds;
  assert.equal(execute.arrivals, server.requests);
  assert.equal(execute.ok, server.requests);
  assert.ok(execute.arrivals >= 20 && execute.arrivals < execute.scheduled);
});

test('over TLS, with a certificate of one\'s own', async (t) => {
  const directory = directoryFor(t);
  const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
                           '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
                           '-keyout', key, '-out', certificate], {stdio: 'ignore'});
  const server = await standIn(t, (socket) => socket.write(ok), (listener) =>
    tls.createServer({key: readFileSync(key), cert: readFileSync(certificate)}, listener).on('tlsClientError', () => {}));
  const mix = {...uniform, durationSecs: 1, kinds: {execute: {perSec: 20}}};
  const trusted = await loadtest(t, mix, `https://localhost:${server.port}`, {words: ['--ca-file', certificate]});
  assert.equal(trusted.code, 0, trusted.errors);
  assert.equal(trusted.result.kinds.execute.ok, 20);
  const unknown = await loadtest(t, mix, `https://localhost:${server.port}`);
  assert.equal(unknown.code, 3);
  assert.match(unknown.errors, /self.signed/);
});

test('a kept connection that the server closes: a GET is sent again, once; a POST never', async (t) => {
  // The first request on each connection is answered, the second one finds it closed.
  const seen = [];
  const answered = new WeakSet();
  const server = await standIn(t, (socket, header) => {
    seen.push(header.split(' ')[0]);
    if (answered.has(socket)) return socket.destroy();
    answered.add(socket);
    socket.write(ok);
  });
  const client = new Client(server.url, {maxConnections: 1});
  t.after(() => client.close());
  const send = (method) => client.request(method, '/', undefined, performance.now() + patienceMs);
  assert.equal((await send('GET')).status, 200);
  assert.equal((await send('GET')).status, 200);
  assert.deepEqual(seen, ['GET', 'GET', 'GET']);
  await assert.rejects(send('POST'), {cause: 'connection'});
  assert.deepEqual(seen, ['GET', 'GET', 'GET', 'POST']);
});

test('those who wait for a connection are sent in turn, and one that waits too long is never sent', async (t) => {
  const held = [];
  const server = await standIn(t, (socket, header) => held.push([socket, header.split(' ')[1]]));
  const client = new Client(server.url, {maxConnections: 1});
  t.after(() => client.close());
  const first = client.request('GET', '/1', undefined, performance.now() + patienceMs);
  const late = client.request('GET', '/late', undefined, performance.now() + 1);
  const second = client.request('GET', '/2', undefined, performance.now() + patienceMs);
  await assert.rejects(late, {cause: 'timeout', message: 'no free connection in time'});
  for (let next = 0; next < 2;) {
    if (held.length > next) held[next++][0].write(ok);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all([first, second]);
  assert.deepEqual(held.map(([, path]) => path), ['/1', '/2']);
  assert.deepEqual(client.counts, {opened: 1, most: 1, waited: 2});
});
