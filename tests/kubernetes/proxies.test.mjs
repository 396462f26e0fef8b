// The proxies in front of a fleet, as deploy/kubernetes configures them: read by nginx and HAProxy themselves, and run in
// front of stand-ins for the pods. No Envoy is to be had here: its file is only read.
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {createHash, randomBytes} from 'node:crypto';
import http from 'node:http';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'node:test';

import {directoryFor, documents, find, freePort, read, render, startProgram} from './support.mjs';

const pods = 4;
const clients = 60;
const id = (number) => `${number.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000`;

// Stand-ins for pods, which say who they are and what they got.
async function startPods(t) {
  const servers = [];
  for (let i = 0; i < pods; ++i) {
    const server = http.createServer((request, response) => {
      request.resume();
      request.on('end', () => response.end(JSON.stringify({pod: i, url: request.url, headers: request.headers})));
    });
    server.on('upgrade', (request, socket) => {
      // RFC 6455, section 4.2.2; HAProxy looks.
      const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
                   `Sec-WebSocket-Accept: ${accept.digest('base64')}\r\n\r\n`);
      socket.on('error', () => {});
      socket.pipe(socket);
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    servers.push(server);
  }
  t.after(() => servers.forEach((one) => (one.closeAllConnections(), one.close())));
  return servers;
}

const agent = new http.Agent({keepAlive: true});

function ask(port, path, fields = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({port, path, agent, host: '127.0.0.1', headers: {Host: 'sandboxd.example.org', ...fields}}, (answer) => {
      let body = '';
      answer.on('data', (piece) => (body += piece));
      answer.on('end', () => resolve({status: answer.statusCode, ...(answer.statusCode === 200 && JSON.parse(body))}));
    });
    request.on('error', reject);
    request.end();
  });
}

const client = (number) => ({Authorization: `Bearer key-${number}`});

async function podsOf(port, pathOf, fieldsOf) {
  const found = [];
  for (let i = 0; i < clients; ++i) {
    const {status, pod} = await ask(port, pathOf(i), fieldsOf(i));
    assert.equal(status, 200);
    found.push(pod);
  }
  return found;
}

function counts(found) {
  const each = Array.from({length: pods}, () => 0);
  for (const one of found) ++each[one];
  return each;
}

const nginx = {
  program: 'nginx',
  write(directory, port, ports, byId) {
    let main = read('components/front-nginx/nginx.conf')
      .replace('listen 8000;', `listen 127.0.0.1:${port};`)
      .replaceAll(' /tmp/', ` ${directory}/`)
      // The test's clients are on the loopback.
      .replace('set_real_ip_from 10.0.0.0/8;', 'set_real_ip_from 127.0.0.0/8;');
    if (byId) main = main.replace('default client;', 'default id;');
    // In place of DNS.
    const upstream = read('components/front-nginx/pods.conf')
      .replace(/^resolver .*\n/m, '')
      .replace(/^    server sandboxd-pods.*$/m, ports.map((one) => `    server 127.0.0.1:${one} max_fails=1 fail_timeout=2s;`).join('\n'));
    assert.match(upstream, /hash \$sandboxd_key consistent;/);
    writeFileSync(join(directory, 'nginx.conf'), main);
    writeFileSync(join(directory, 'pods.conf'), upstream);
    return ['-c', join(directory, 'nginx.conf'), '-g', 'daemon off;'];
  },
  check: (words) => ['-t', ...words.slice(0, 2)],
};

const haproxy = {
  program: 'haproxy',
  write(directory, port, ports, byId) {
    let main = read('components/front-haproxy/haproxy.cfg')
      .replace('bind :8000', `bind 127.0.0.1:${port}`)
      .replace('acl from_cluster src 10.0.0.0/8', 'acl from_cluster src 127.0.0.0/8');
    if (byId) main = main.replace('acl by_id always_false', 'acl by_id always_true');
    const backend = read('components/front-haproxy/pods.cfg')
      // HAProxy 3.0 brought it; without, a server's place in the list is hashed, which is the same here.
      .replace(' hash-key addr-port', '')
      .replace(/^    server-template.*$/m, ports.map((one, i) => `    server pod${i} 127.0.0.1:${one}`).join('\n'))
      // Verdicts of checks would depend on how busy this machine is.
      .replace('default-server check ', 'default-server ');
    assert.match(backend, /hash-type consistent/);
    writeFileSync(join(directory, 'haproxy.cfg'), main);
    writeFileSync(join(directory, 'pods.cfg'), backend);
    return ['-f', join(directory, 'haproxy.cfg'), '-f', join(directory, 'pods.cfg')];
  },
  check: (words) => ['-c', ...words],
};

for (const proxy of [nginx, haproxy]) {
  const missing = find(proxy.program) ? false : `${proxy.program} is not installed`;

  test(`${proxy.program} reads its configuration, and keeps each client on a pod`, {skip: missing}, async (t) => {
    const program = find(proxy.program);
    const servers = await startPods(t);
    const port = await freePort();
    const directory = directoryFor(t);
    const words = proxy.write(directory, port, servers.map((one) => one.address().port), false);
    execFileSync(program, proxy.check(words), {stdio: 'pipe'});
    await startProgram(t, program, words, port);

    // Whatever a client asks for, it asks the same pod; and all pods have clients.
    const before = await podsOf(port, () => '/compile', client);
    assert.deepEqual(await podsOf(port, (i) => `/sandbox/${id(i * 7)}/execute`, client), before);
    assert.ok(Math.min(...counts(before)) > 0, `${counts(before)}`);

    // Without a key, by the address that the Ingress controller has added last. What is before it is the client's own.
    const address = (i) => ({'X-Forwarded-For': `10.9.8.7, 198.51.100.${i}`});
    const byAddress = await podsOf(port, () => '/compile', address);
    assert.deepEqual(await podsOf(port, () => '/execute', (i) => ({'X-Forwarded-For': `192.0.2.1, 198.51.100.${i}`})), byAddress);
    assert.ok(counts(byAddress).filter((one) => one > 0).length > 1);

    // What a pod is told: the client's address alone, and the name that the client asked for.
    const {headers, url} = await ask(port, '/faas/x/%2e?a=%20b', {...address(9), Forwarded: 'for=203.0.113.1'});
    assert.equal(url, '/faas/x/%2e?a=%20b');
    assert.equal(headers.host, 'sandboxd.example.org');
    assert.equal(headers['x-forwarded-for'], '198.51.100.9');
    assert.equal(headers['x-forwarded-host'], 'sandboxd.example.org');
    assert.equal(headers.forwarded, undefined);

    // A pod that goes takes only its own clients along: at most what was its, and nobody else moves.
    const gone = before[0];
    servers[gone].closeAllConnections();
    await new Promise((resolve) => servers[gone].close(resolve));
    const after = await podsOf(port, () => '/compile', client);
    for (let i = 0; i < clients; ++i) {
      if (before[i] !== gone) assert.equal(after[i], before[i]);
      else assert.notEqual(after[i], gone);
    }
  });

  test(`${proxy.program} sends by the id, where it is told to`, {skip: missing}, async (t) => {
    const servers = await startPods(t);
    const port = await freePort();
    const words = proxy.write(directoryFor(t), port, servers.map((one) => one.address().port), true);
    await startProgram(t, find(proxy.program), words, port);
    const paths = [(i) => `/proxy/${id(i)}/a/b`, (i) => `/faas/${id(i)}/`, (i) => `/faas/${id(i)}`,
                   (i) => `/faas/deployments/${id(i)}/logs`];
    const first = await podsOf(port, paths[0], client);
    for (const path of paths) assert.deepEqual(await podsOf(port, path, (i) => client(i + 1000)), first);
    assert.ok(Math.min(...counts(first)) > 0, `${counts(first)}`);
    // Artifacts have ids without dashes.
    const plain = (i) => id(i).replaceAll('-', '');
    assert.deepEqual(await podsOf(port, (i) => `/artifacts/${plain(i)}/app.wasm`, client),
                     await podsOf(port, (i) => `/artifacts/${plain(i)}/app.js`, (i) => client(i + 1000)));
    // What has no id goes by the client; so do jobs, which one pod has, and what may become a job.
    for (const path of [(i) => `/faas/deploy?${i}`, (i) => `/jobs/${plain(i)}`, (i) => `/sandbox/${id(i)}/execute`])
      assert.equal(new Set(await podsOf(port, path, () => client(1))).size, 1);
  });

  test(`a WebSocket goes through ${proxy.program}`, {skip: missing}, async (t) => {
    const servers = await startPods(t);
    const port = await freePort();
    const words = proxy.write(directoryFor(t), port, servers.map((one) => one.address().port), false);
    await startProgram(t, find(proxy.program), words, port);
    const echoed = await new Promise((resolve, reject) => {
      const request = http.request({port, host: '127.0.0.1', path: `/faas/${id(1)}/`,
                                    headers: {Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13',
                                              'Sec-WebSocket-Key': randomBytes(16).toString('base64')}});
      request.on('upgrade', (answer, socket) => {
        socket.on('data', (piece) => (resolve(piece.toString()), socket.destroy()));
        socket.write('hello');
      });
      request.on('response', (answer) => reject(new Error(`status ${answer.statusCode}`)));
      request.on('error', reject);
      request.end();
    });
    assert.equal(echoed, 'hello');
  });
}

function haproxyVersion() {
  return /version (\d+)\.(\d+)/.exec(execFileSync(find('haproxy'), ['-v'], {encoding: 'utf8'}));
}

// nginx would ask the cluster's DNS for its own resolver already while it reads the file.
test('haproxy reads its files unchanged', {skip: !find('haproxy') ? 'haproxy is not installed'
                                               : Number(haproxyVersion()[1]) < 3 ? `HAProxy ${haproxyVersion()[0]} does not know hash-key`
                                               : false}, (t) => {
  const directory = directoryFor(t);
  for (const file of ['haproxy.cfg', 'pods.cfg']) writeFileSync(join(directory, file), read(`components/front-haproxy/${file}`));
  execFileSync(find('haproxy'), ['-c', '-f', join(directory, 'haproxy.cfg'), '-f', join(directory, 'pods.cfg')], {stdio: 'pipe'});
});

test('the three proxies mean the same', () => {
  const [envoy] = documents(read('components/front-envoy/envoy.yaml'));
  const {listeners: [listener], clusters: [cluster]} = envoy.static_resources;
  const manager = listener.filter_chains[0].filters[0].typed_config;
  const {route} = manager.route_config.virtual_hosts[0].routes[0];
  assert.deepEqual(route.hash_policy, [{header: {header_name: 'authorization'}, terminal: true},
                                       {connection_properties: {source_ip: true}}]);
  assert.equal(cluster.lb_policy, 'RING_HASH');
  // Nothing is sent twice, and paths stay as they are.
  assert.deepEqual(route.retry_policy, {retry_on: 'connect-failure', num_retries: 1});
  assert.equal(manager.normalize_path, false);
  // The pods take the last address, which the Ingress controller has added.
  assert.deepEqual([manager.use_remote_address, manager.xff_num_trusted_hops, manager.skip_xff_append], [true, 1, true]);
  // Each listens where its Service and its Deployment say, and asks the pods' Service.
  assert.equal(listener.address.socket_address.port_value, 8000);
  assert.match(read('components/front-nginx/nginx.conf'), /listen 8000;/);
  assert.match(read('components/front-haproxy/haproxy.cfg'), /bind :8000\n/);
  const services = render('overlays/fleet').filter((one) => one.kind === 'Service');
  const inner = services.find((one) => one.metadata.name === 'sandboxd-pods');
  assert.equal(inner.spec.clusterIP, 'None');
  // None of them completes a name.
  const name = `sandboxd-pods.${inner.metadata.namespace}.svc.cluster.local`;
  assert.equal(inner.spec.ports[0].port, 8080);
  assert.match(read('components/front-nginx/pods.conf'), new RegExp(`server ${name}:8080 resolve`));
  assert.match(read('components/front-haproxy/pods.cfg'), new RegExp(` ${name}:8080 resolvers`));
  assert.deepEqual(cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address,
                   {address: name, port_value: 8080});
});
