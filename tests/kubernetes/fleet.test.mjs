// deploy/kubernetes/overlays/fleet: what its pods share, and who keeps them from it. No cluster runs here; Valkey, nginx and
// sandboxd read what the pods' programs read.
import assert from 'node:assert/strict';
import {execFileSync, spawnSync} from 'node:child_process';
import {createHash, randomBytes, X509Certificate} from 'node:crypto';
import {chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync} from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import {join} from 'node:path';
import test from 'node:test';
import tls from 'node:tls';

import {makeSecrets, missingNginx, missingRedis, moveConfig, secretText, startCache, startRedis, textOf,
        writeVolumes} from './parts.mjs';
import {configMap, configOf, defaultOf, directoryFor, find, kubernetes, only, read, render} from './support.mjs';

const objects = render('overlays/fleet');
const deployment = only(objects, 'Deployment', 'sandboxd');
const {spec: pod} = deployment.spec.template;
const [server] = pod.containers;
const config = configOf(objects);
const missingOpenssl = find('openssl') ? false : 'OpenSSL is not installed';

// What the server would have for a key that the pods' configuration leaves out.
const valueOf = (key) => key.split('.').reduce((at, name) => at?.[name], config) ?? defaultOf(key);

test('pods share: an index, a cache, a key for all, and a port for each other', () => {
  assert.equal(config.faas.enabled, undefined);
  assert.match(config.cluster.redis, /^rediss:/);
  assert.match(config.store.remote, /^https:/);
  for (const [url, name] of [[config.cluster.redis, 'sandboxd-redis'], [config.store.remote, 'sandboxd-cache']]) {
    const {hostname, port} = new URL(url);
    assert.equal(hostname, name);
    const service = only(objects, 'Service', name);
    assert.equal(service.spec.ports[0].port, Number(port || 6379));
    // The Service finds the pod, and the pod's port.
    const {template} = only(objects, 'StatefulSet', name).spec;
    assert.deepEqual(service.spec.selector, template.metadata.labels);
    assert.equal(service.spec.ports[0].targetPort, template.spec.containers[0].ports[0].name);
  }
  assert.equal(config.cluster.listen, `:${server.ports.find((one) => one.name === 'cluster').containerPort}`);
  // No Service and no proxy leads to that port.
  for (const one of objects.filter((each) => each.kind === 'Service'))
    for (const port of one.spec.ports) assert.ok(port.targetPort !== 'cluster' && port.targetPort !== 8081, one.metadata.name);
  // The proxies add the client's address, and no one else can connect.
  assert.equal(config.proxy.trustForwarded, true);
});

test('a pod tells the others its own address', () => {
  const {args, env} = server;
  assert.deepEqual(args.slice(args.indexOf('--advertise')), ['--advertise', '$(POD_IP)']);
  assert.deepEqual(env.find((one) => one.name === 'POD_IP'),
                   {name: 'POD_IP', valueFrom: {fieldRef: {fieldPath: 'status.podIP'}}});
  assert.equal(config.cluster.advertise, undefined);
});

// Whether NetworkPolicies let a pod connect to another one's port, as https://kubernetes.io/docs/concepts/services-networking/network-policies/
// says. A pod is {namespace, namespaceLabels, labels, ports}; blocks of addresses are those of the internet, and no pod's.
function lets(policies, from, to, port, protocol = 'TCP') {
  const matches = ({matchLabels = {}} = {}, labels = {}) => Object.entries(matchLabels).every(([key, value]) => labels[key] === value);
  const isPeer = (peer, whose, one) => {
    if (peer.ipBlock) return false;
    const inNamespace = peer.namespaceSelector ? matches(peer.namespaceSelector, one.namespaceLabels) : one.namespace === whose;
    return inNamespace && (!peer.podSelector || matches(peer.podSelector, one.labels));
  };
  const isPort = (one) => (one.protocol ?? 'TCP') === protocol &&
    (one.port === undefined || one.port === port || to.ports?.[one.port] === port);
  const passes = (type, rules, peers, self, other) => {
    const mine = policies.filter(({metadata, spec}) => metadata.namespace === self.namespace &&
      spec.policyTypes.includes(type) && matches(spec.podSelector, self.labels));
    return mine.length === 0 || mine.some(({metadata, spec}) => (spec[rules] ?? []).some((rule) =>
      (!rule.ports || rule.ports.some(isPort)) && (!rule[peers] || rule[peers].some((one) => isPeer(one, metadata.namespace, other)))));
  };
  return passes('Ingress', 'ingress', 'from', to, from) && passes('Egress', 'egress', 'to', from, to);
}

const policies = objects.filter((one) => one.kind === 'NetworkPolicy');
const home = deployment.metadata.namespace;
const podOf = (kind, name) => {
  const {metadata, spec} = only(objects, kind, name).spec.template;
  const ports = spec.containers.flatMap((one) => one.ports ?? []).map((one) => [one.name, one.containerPort]);
  return {namespace: home, namespaceLabels: {'kubernetes.io/metadata.name': home}, labels: metadata.labels, ports: Object.fromEntries(ports)};
};
const elsewhere = (namespace, labels, namespaceLabels = {}) =>
  ({namespace, labels, namespaceLabels: {'kubernetes.io/metadata.name': namespace, ...namespaceLabels}});
const members = {
  server: podOf('Deployment', 'sandboxd'),
  front: podOf('Deployment', 'sandboxd-front'),
  redis: podOf('StatefulSet', 'sandboxd-redis'),
  cache: podOf('StatefulSet', 'sandboxd-cache'),
  seccomp: podOf('DaemonSet', 'sandboxd-seccomp'),
  // Somebody in the same namespace, who has all labels but the one that counts.
  stranger: {...podOf('Deployment', 'sandboxd'), labels: {app: 'sandboxd', 'app.kubernetes.io/part-of': 'sandboxd',
                                                          'app.kubernetes.io/component': 'server'}},
  impostor: elsewhere('other', {'app.kubernetes.io/name': 'sandboxd'}),
  ingress: elsewhere('ingress-nginx', {app: 'ingress'}, {'sandboxd-client': 'true'}),
  prometheus: elsewhere('monitoring', {app: 'prometheus'}),
  names: elsewhere('kube-system', {'k8s-app': 'kube-dns'}),
  api: elsewhere('kube-system', {component: 'kube-apiserver'}),
};

test('who reaches whom: the port for other servers is theirs alone', () => {
  const who = (to, port, protocol) => Object.keys(members).filter((from) => lets(policies, members[from], members[to], port, protocol));
  assert.deepEqual(who('server', 8081), ['server']);
  assert.deepEqual(who('server', 8080), ['front', 'prometheus']);
  assert.deepEqual(who('redis', 6379), ['server']);
  assert.deepEqual(who('cache', 8090), ['server']);
  assert.deepEqual(who('front', 8000), ['ingress']);
  for (const port of [22, 80, 6379, 8080, 8090]) {
    for (const to of ['redis', 'cache', 'front', 'server']) {
      const open = members[to].ports;
      if (!Object.values(open).includes(port)) assert.deepEqual(who(to, port), [], `${to} ${port}`);
    }
  }
  // Where a server gets to.
  const where = (port, protocol) => Object.keys(members).filter((to) => lets(policies, members.server, members[to], port, protocol));
  assert.deepEqual(where(53, 'UDP'), ['names']);
  assert.deepEqual(where(53), ['names']);
  for (const port of [80, 443, 6443, 8000, 8080]) assert.ok(!where(port).includes('api') && !where(port).includes('stranger'), `${port}`);
  // From the index and the cache nothing gets anywhere.
  for (const from of ['redis', 'cache'])
    for (const to of Object.keys(members)) for (const port of [53, 443, 8080, 8081]) assert.ok(!lets(policies, members[from], members[to], port));
  // The proof that this test can fail: with a policy beside that forgets whose port it is.
  const [careless] = structuredClone(policies.filter((one) => one.metadata.name === 'sandboxd'));
  careless.metadata.name = 'careless';
  careless.spec.ingress = [{from: [{podSelector: {}}]}];
  const open = [...policies, careless];
  assert.ok(lets(open, members.stranger, members.server, 8081));
  assert.ok(!lets(open, members.impostor, members.server, 8081));
});

test('a roll and a drain of nodes leave time to hand over, and the next pod goes when the leases of one that died are over', () => {
  const grace = pod.terminationGracePeriodSeconds - Number(server.lifecycle.preStop.exec.command[1]);
  const handOver = valueOf('faas.drainGraceSecs') + valueOf('faas.stopGraceSecs');
  assert.ok(handOver <= valueOf('shutdownGraceSecs'));
  assert.ok(grace > valueOf('shutdownGraceSecs') + valueOf('faas.stopGraceSecs'));
  assert.ok(deployment.spec.minReadySeconds >= valueOf('cluster.leaseSecs'));
  assert.deepEqual(deployment.spec.strategy.rollingUpdate, {maxSurge: 1, maxUnavailable: 0});
  assert.equal(only(objects, 'PodDisruptionBudget', 'sandboxd').spec.maxUnavailable, 1);
});

test('sizes fit each other: deployments and pods, connections and the cache, its disk and its sweep', () => {
  const {minReplicas, maxReplicas, metrics} = only(objects, 'HorizontalPodAutoscaler').spec;
  assert.ok(minReplicas >= 2);
  // All deployments may run at once, and more pods come before one is full.
  assert.ok(config.cluster.maxDeployments <= maxReplicas * config.faas.maxDeployments);
  const running = metrics.find((one) => one.pods.metric.name === 'sandboxd_faas_deployments');
  assert.ok(Number(running.pods.target.averageValue) < config.faas.maxDeployments * 0.75);

  const cache = only(objects, 'StatefulSet', 'sandboxd-cache').spec;
  const files = configMap(objects, cache.template.spec.volumes.find((one) => one.name === 'config').configMap.name);
  const number = (pattern) => Number(pattern.exec(files['nginx.conf'])[1]);
  // For artifacts, and for what else is shared.
  assert.ok(2 * valueOf('store.remoteConnections') * maxReplicas <= number(/worker_connections (\d+);/) / 2);
  const most = Math.max(valueOf('compile.maxArtifactsMB'), 2 * valueOf('faas.maxFileBytes') / 2 ** 20, valueOf('sandboxes.maxFileBytes') / 2 ** 20);
  assert.ok(most < number(/client_max_body_size (\d+)m;/));
  const [, disk] = /^(\d+)Gi$/.exec(cache.volumeClaimTemplates[0].spec.resources.requests.storage);
  const sweep = cache.template.spec.containers.find((one) => one.name === 'sweep');
  assert.ok(Number(sweep.command.at(-1)) <= Number(disk) * 1024 * 0.8);
});

// {mount, path, secret, key} of each file of a Secret that a pod has.
function secretFiles(object) {
  const {spec} = object.spec.template;
  const found = [];
  for (const volume of spec.volumes ?? []) {
    const sources = volume.secret ? [{name: volume.secret.secretName, items: volume.secret.items}]
      : (volume.projected?.sources ?? []).map((one) => one.secret).filter((one) => one);
    for (const {name, items} of sources)
      for (const {key, path} of items ?? ['tls.crt', 'tls.key', 'ca.crt'].map((one) => ({key: one, path: one})))
        found.push({volume, path, secret: name, key, mounts: spec.containers.flatMap((one) => one.volumeMounts).filter((one) => one.name === volume.name)});
  }
  return found;
}

test('secrets come from a command, and only a pod\'s own group may read them', {skip: missingOpenssl}, () => {
  assert.deepEqual(objects.filter((one) => one.kind === 'Secret'), []);
  const secrets = makeSecrets();
  const used = new Set();
  for (const object of objects.filter((one) => one.spec?.template?.spec.volumes)) {
    for (const {volume, secret, key, mounts} of secretFiles(object)) {
      const what = `${object.kind} ${object.metadata.name}: ${secret} ${key}`;
      const {data} = only(secrets, 'Secret', secret);
      assert.ok(data[key], what);
      used.add(`${secret} ${key}`);
      assert.equal((volume.secret ?? volume.projected).defaultMode, 0o440, what);
      // Missing, they keep the pod from starting.
      assert.ok(!volume.secret?.optional && !(volume.projected?.sources ?? []).some((one) => one.secret.optional), what);
      assert.ok(object.spec.template.spec.securityContext.fsGroup, what);
      assert.ok(mounts.length > 0 && mounts.every((one) => one.readOnly), what);
    }
  }
  // None is made that nobody has; and no pod has what it does not need.
  assert.deepEqual([...used].sort(), secrets.flatMap((one) => Object.keys(one.data).map((key) => `${one.metadata.name} ${key}`)).sort());
  const keysOf = (kind, name) => secretFiles(only(objects, kind, name)).map((one) => `${one.secret} ${one.key}`).sort();
  assert.deepEqual(keysOf('Deployment', 'sandboxd'),
                   ['sandboxd-cache-tls ca.crt', 'sandboxd-fleet cache.credential', 'sandboxd-fleet redis.password',
                    'sandboxd-fleet store.key', 'sandboxd-redis-tls ca.crt']);
  assert.ok(!keysOf('StatefulSet', 'sandboxd-redis').some((one) => /store\.key|cache/.test(one)));
  assert.ok(!keysOf('StatefulSet', 'sandboxd-cache').some((one) => /store\.key|redis/.test(one)));
  // The pods' files are those that the configuration names.
  const named = [];
  JSON.stringify(config, (key, value) => (/File$/.test(key) && named.push(value), value));
  assert.deepEqual(named.sort(), secretFiles(deployment).map((one) => join(one.mounts[0].mountPath, one.path)).sort());
});

test('the command makes other secrets each time, and certificates for the right names', {skip: missingOpenssl}, (t) => {
  const [one, other] = [makeSecrets(), makeSecrets()];
  for (const [name, key] of [['sandboxd-fleet', 'store.key'], ['sandboxd-fleet', 'redis.password'],
                             ['sandboxd-fleet', 'cache.credential'], ['sandboxd-redis-tls', 'tls.key']]) {
    assert.notEqual(secretText(one, name, key), secretText(other, name, key));
    assert.ok(secretText(one, name, key).trim().length >= 32);
  }
  assert.match(secretText(one, 'sandboxd-fleet', 'cache.credential'), /^Basic sandboxd:[0-9a-f]{64}\n$/);
  for (const name of ['sandboxd-redis', 'sandboxd-cache']) {
    const [certificate, authority] = ['tls.crt', 'ca.crt'].map((key) => new X509Certificate(secretText(one, `${name}-tls`, key)));
    assert.ok(certificate.verify(authority.publicKey) && authority.ca && !certificate.ca);
    assert.equal(certificate.checkHost(name), name);
    assert.equal(certificate.checkHost('sandboxd'), undefined);
    assert.ok(!certificate.verify(new X509Certificate(secretText(other, `${name}-tls`, 'ca.crt')).publicKey));
  }
  assert.deepEqual(makeSecrets('certificates').map((each) => each.metadata.name), ['sandboxd-redis-tls', 'sandboxd-cache-tls']);
  const wrong = spawnSync(join(kubernetes, 'secrets'), ['keys'], {encoding: 'utf8'});
  assert.deepEqual([wrong.status, wrong.stdout], [2, '']);
  // It leaves nothing, and prints nothing if it cannot make all.
  const directory = directoryFor(t);
  mkdirSync(join(directory, 'bin'));
  writeFileSync(join(directory, 'bin/openssl'), '#!/bin/sh\n[ "$1" != x509 ] || exit 1\nexec ' + find('openssl') + ' "$@"\n', {mode: 0o755});
  const failed = spawnSync(join(kubernetes, 'secrets'), {encoding: 'utf8',
                           env: {...process.env, TMPDIR: directory, PATH: `${directory}/bin:${process.env.PATH}`}});
  assert.deepEqual([failed.status, failed.stdout], [1, '']);
  assert.deepEqual(readdirSync(directory), ['bin']);
});

const binary = process.env.SANDBOXD_BINARY;
const missingServer = missingOpenssl || (binary && existsSync(binary) ? false : 'there is no server: SANDBOXD_BINARY names none');

test('the server takes the pods\' configuration, with their files as a kubelet writes them, and says plainly what is missing',
     {skip: missingServer, timeout: 900_000}, (t) => {
  const secrets = makeSecrets();
  // What --check-config says of a pod with this address, whose volumes were changed.
  const check = (address, change = () => {}, from = pod) => {
    const directory = directoryFor(t);
    mkdirSync(join(directory, config.workingDir), {recursive: true});
    writeVolumes(directory, [...objects, ...secrets], from, server);
    change(join(directory, 'etc/sandboxd-fleet'));
    const file = join(directory, 'config.json');
    // Without a toolchain and a jail, which are not in question.
    writeFileSync(file, JSON.stringify({...moveConfig(config, directory), toolchain: {emcc: '/nonexistent/emcc'}}));
    const words = server.args.map((one) => one.replace('/etc/sandboxd/config.json', file).replace('$(POD_IP)', address));
    const ran = spawnSync(binary, [...words, '--check-config', '--backend', 'none'], {encoding: 'utf8'});
    return (ran.stdout + ran.stderr).split('\n').filter((line) => /store|cluster|advertise|cache|redis|argument/.test(line.replaceAll(directory, '')));
  };
  for (const address of ['10.1.2.3', 'fd00::12']) assert.deepEqual(check(address), [], address);
  // What would happen if the pod's address did not come.
  assert.match(check('$(POD_IP)')[0], /--advertise: '\$\(POD_IP\)' is no ADDRESS/);
  // Files that others may read, that are not there, that are cut off.
  const data = (folder, name) => join(folder, '..data', name);
  for (const [name, key] of [['store.key', 'store.signingKeyFile'], ['cache.credential', 'store.remoteCredentialFile'],
                             ['redis.password', 'cluster.redisCredentialFile']]) {
    assert.match(check('10.1.2.3', (folder) => chmodSync(data(folder, name), 0o444))[0], new RegExp(`${key}: .*other users`));
    assert.match(check('10.1.2.3', (folder) => rmSync(data(folder, name)))[0], new RegExp(`${key}: `));
    assert.match(check('10.1.2.3', (folder) => writeFileSync(data(folder, name), ''))[0], new RegExp(`${key}: `));
  }
  for (const [name, key] of [['redis-ca.crt', 'cluster.redisCaFile'], ['cache-ca.crt', 'store.remoteCaFile']])
    assert.match(check('10.1.2.3', (folder) => writeFileSync(data(folder, name), 'x'))[0], new RegExp(`${key}: `));
  // The mode is what keeps them secret: Kubernetes' own (0644) is refused.
  const careless = structuredClone(pod);
  delete careless.volumes.find((one) => one.name === 'fleet').projected.defaultMode;
  assert.match(check('10.1.2.3', undefined, careless)[0], /other users/);
});

// Says commands to Valkey over TLS, one after the other, and answers the first line of each answer.
function say(port, secrets, commands, servername = 'sandboxd-redis') {
  return new Promise((resolve, reject) => {
    const answers = [];
    const socket = tls.connect({port, host: '127.0.0.1', servername, ca: secretText(secrets, 'sandboxd-redis-tls', 'ca.crt')});
    const next = () => {
      if (answers.length === commands.length) return socket.end(() => resolve(answers));
      const words = commands[answers.length];
      socket.write(`*${words.length}\r\n${words.map((one) => `$${Buffer.byteLength(one)}\r\n${one}\r\n`).join('')}`);
    };
    let text = '';
    socket.on('secureConnect', next);
    socket.on('data', (piece) => {
      text += piece;
      // A bulk string has a second line.
      if (!/^(?:[+\-:*][^\n]*|\$-1\r|\$\d+\r\n[^\n]*)\n$/.test(text)) return;
      answers.push(text.replace(/^\$\d+\r\n/, '').trim());
      text = '';
      next();
    });
    socket.on('error', reject);
    socket.on('end', () => reject(new Error(`it hung up: ${answers}`)));
  });
}

test('the index: TLS, a password, what sandboxd does and nothing else, and a disk', {skip: missingRedis || missingOpenssl}, async (t) => {
  const secrets = makeSecrets();
  const redis = await startRedis(t, [...objects, ...secrets]);
  const password = secretText(secrets, 'sandboxd-fleet', 'redis.password').trim();
  const auth = ['AUTH', 'sandboxd', password];
  const [pong, empty, wrong] = await say(redis.port, secrets, [['PING'], ['AUTH', 'default', ''], ['AUTH', 'sandboxd', 'guess']]);
  assert.match(pong, /^-NOAUTH/);
  assert.match(empty, /^-WRONGPASS/);
  assert.match(wrong, /^-WRONGPASS/);
  const told = await say(redis.port, secrets, [
    auth, ['SET', 'sandboxd:x', '1'], ['SET', 'other', '1'], ['KEYS', '*'], ['CONFIG', 'GET', '*'], ['ACL', 'LIST'], ['FLUSHALL'],
    ['EVAL', 'return redis.call("KEYS", "*")', '0'], ['EVAL', 'return redis.call("GET", KEYS[1])', '1', 'sandboxd:x'],
  ]);
  assert.deepEqual(told.slice(0, 2), ['+OK', '+OK']);
  for (const one of told.slice(2, 7)) assert.match(one, /^-NOPERM/);
  assert.match(told[7], /^-.*(?:NOPERM|can't run this command|permission)/);
  assert.equal(told[8], '1');
  // To another name nobody speaks, and without TLS nothing is answered.
  await assert.rejects(say(redis.port, secrets, [auth], 'sandboxd-other'), /altnames|ERR_TLS_CERT/);
  const plain = await new Promise((resolve) => {
    let text = '';
    const socket = net.connect(redis.port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.on('data', (piece) => (text += piece));
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
  assert.ok(!plain.includes('PONG') && !plain.includes('NOAUTH'), plain);
  // The password is in no list of processes. It starts again with what it had.
  const acl = (text) => /~\S+ resetchannels (-@all(?: \+\w+)+)/.exec(text)[0];
  assert.equal(acl(read('components/redis/rights')), acl(textOf('../lib/cluster/README.md')));
  await redis.stop();
  const again = await startRedis(t, [...objects, ...secrets], redis);
  assert.deepEqual(await say(again.port, secrets, [auth, ['GET', 'sandboxd:x']]), ['+OK', '1']);
});

test('the index does not start without a password', {skip: missingRedis || missingOpenssl}, async (t) => {
  const secrets = makeSecrets();
  only(secrets, 'Secret', 'sandboxd-fleet').data['redis.password'] = '';
  await assert.rejects(startRedis(t, [...objects, ...secrets]), /redis\.password of the Secret sandboxd-fleet is empty/);
});

function request(port, secrets, method, path, {auth, body} = {}) {
  return new Promise((resolve, reject) => {
    const asked = https.request({port, method, path, auth, host: '127.0.0.1', servername: 'sandboxd-cache', agent: false,
                                 ca: secretText(secrets, 'sandboxd-cache-tls', 'ca.crt')}, (answer) => {
      const pieces = [];
      answer.on('data', (piece) => pieces.push(piece));
      answer.on('end', () => resolve({status: answer.statusCode, body: Buffer.concat(pieces)}));
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

test('the cache: TLS, a password, and no other path than those of entries', {skip: missingNginx || missingOpenssl}, async (t) => {
  const secrets = makeSecrets();
  const cache = await startCache(t, [...objects, ...secrets]);
  const auth = secretText(secrets, 'sandboxd-fleet', 'cache.credential').trim().replace('Basic ', '');
  const ask = async (...words) => (await request(cache.port, secrets, ...words)).status;
  const body = randomBytes(3 << 20);
  const path = `/cas/${createHash('sha256').update(body).digest('hex')}`;
  assert.equal(await ask('GET', path, {auth}), 404);
  assert.equal(await ask('PUT', path, {auth, body}), 201);
  assert.deepEqual((await request(cache.port, secrets, 'GET', path, {auth})).body, body);
  assert.equal(await ask('HEAD', path, {auth}), 200);
  assert.equal(await ask('PUT', path, {auth, body}), 204);
  for (const wrong of [{}, {auth: 'sandboxd:guess'}, {auth: 'sandboxd:'}]) {
    assert.equal(await ask('GET', path, wrong), 401);
    assert.equal(await ask('PUT', path, {...wrong, body: 'x'}), 401);
  }
  assert.deepEqual((await request(cache.port, secrets, 'GET', path, {auth})).body, body);
  for (const other of ['/', '/cas/', '/cas/x', `${path}0`, `/files${path}`, `/ac/../${path}x`, '/cas/../../etc/passwd'])
    assert.ok([400, 404].includes(await ask('GET', other, {auth})), other);
  assert.equal(await ask('PUT', '/cas/x', {auth, body: 'x'}), 404);
  assert.equal(await ask('DELETE', path, {auth}), 405);
  // The kubelet has no password.
  assert.equal(await ask('GET', '/livez'), 204);
  const readiness = only(objects, 'StatefulSet', 'sandboxd-cache').spec.template.spec.containers[0].readinessProbe;
  assert.deepEqual(readiness.httpGet, {path: '/livez', port: 'cache', scheme: 'HTTPS'});
  assert.equal((await fetch(`http://127.0.0.1:${cache.port}${path}`)).status, 400);
});

test('the cache does not start without a password', {skip: missingNginx || missingOpenssl}, async (t) => {
  const secrets = makeSecrets();
  only(secrets, 'Secret', 'sandboxd-fleet').data['cache.credential'] = Buffer.from('Bearer x\n').toString('base64');
  await assert.rejects(startCache(t, [...objects, ...secrets]), /cache\.credential of the Secret sandboxd-fleet is not 'Basic USER:PASSWORD'/);
});

for (const shell of ['sh', 'busybox']) {
  test(`the cache loses what was unused for longest, and nothing of a deployment (${shell})`,
       {skip: find(shell) ? false : `${shell} is not installed`}, (t) => {
    const directory = directoryFor(t);
    const files = join(directory, 'files');
    const day = 24 * 3600;
    const now = Date.now() / 1000;
    const mib = 1 << 20;
    const write = (path, bytes, daysAgo) => {
      const file = join(files, path);
      mkdirSync(join(file, '..'), {recursive: true});
      writeFileSync(file, bytes);
      utimesSync(file, now - daysAgo * day, now - daysAgo * day);
    };
    const digest = (of) => createHash('sha256').update(of).digest('hex');
    const blob = (seed, daysAgo) => {
      const bytes = Buffer.alloc(mib, seed);
      write(`cas/${digest(bytes)}`, bytes, daysAgo);
      return `cas/${digest(bytes)}`;
    };
    // As lib/remote/entry_document.cpp writes them: binary around a text.
    const document = (id, blobs, daysAgo) => {
      const text = JSON.stringify({version: 1, id, files: blobs.map((one) => ({bytes: mib, sha256: one.slice(4), name: 'bytes'})),
                                   record: {bytes: 0, sha256: digest('')}});
      write(`ac/${digest(id)}`, Buffer.concat([
        Buffer.from(`\x12\x4d\x0a\x05bytes\x12\x45\x0a\x40${blobs[0].slice(4)}\x10\x00`), Buffer.from([0x80, 0x80, 0x40, 0x2a, 0xff, 3]),
        Buffer.from(`${digest(text)}\n${text}J\x0a\x0a\x08sandboxd`),
      ]), daysAgo);
      return `ac/${digest(id)}`;
    };
    const old = [9, 8, 7, 6].map((daysAgo) => blob(daysAgo, daysAgo));
    const kept = [blob(100, 400), blob(101, 0.5), blob(102, 1.5)];
    kept.push(document('deployment 123e4567-e89b-42d3-a456-426614174000 1 00112233445566778899aabbccddeeff', [kept[0]], 400));
    // Of two entries with a file in common neither is whole without it.
    const lost = ['0123456789abcdef0123456789abcdef', 'sandbox 123e4567-e89b-42d3-a456-426614174000'].map((id) => document(id, [old[0], kept[1]], 400));
    const whole = document('00112233445566778899aabbccddeeff', [kept[2], old[3]], 400);
    const script = join(directory, 'sweep');
    writeFileSync(script, read('components/cache/sweep').replaceAll('/tmp/', `${directory}/`));
    const sweep = (mostMb) => {
      const words = [script, files, String(mostMb), 'once'];
      const ran = spawnSync(find(shell), shell === 'busybox' ? ['sh', ...words] : words,
                            {encoding: 'utf8', env: shell === 'busybox' ? {PATH: busyboxPath(t)} : process.env});
      assert.equal(ran.status, 0, ran.stderr);
      return ran;
    };
    const there = (path) => existsSync(join(files, path));
    // 7 MB of blobs: below that nothing goes.
    sweep(8);
    for (const one of [...old, ...kept, ...lost, whole]) assert.ok(there(one), one);
    // Down to below 5 MB, the oldest first.
    assert.match(sweep(5).stdout, /^the cache had 7 MB, and has [45] MB\n$/);
    assert.deepEqual(old.map(there), [false, false, false, true]);
    assert.deepEqual(lost.map(there), [false, false]);
    for (const one of [...kept, whole]) assert.ok(there(one), one);
    // What is in use stays, and the log says that it is too much.
    assert.match(sweep(1).stderr, /more than 1 MB: deployments, and what was used in the last two days/);
    assert.deepEqual([...old, whole].map(there), [false, false, false, false, false]);
    for (const one of kept) assert.ok(there(one), one);
    assert.equal(statSync(join(files, kept[0])).size, mib);
  });
}

// A folder with the programs of busybox, as the image has them.
function busyboxPath(t) {
  const directory = directoryFor(t);
  for (const one of execFileSync(find('busybox'), ['--list'], {encoding: 'utf8'}).trim().split('\n'))
    symlinkSync(find('busybox'), join(directory, one));
  return directory;
}
