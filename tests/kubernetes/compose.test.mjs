// deploy/compose.yaml, read without containers: its files are there, and what it says in several places is the same. Docker
// Compose reads it itself, where it is installed.
import assert from 'node:assert/strict';
import {execFileSync, spawnSync} from 'node:child_process';
import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'node:test';

import {directoryFor, documents, find, read, repository} from './support.mjs';

const deploy = join(repository, 'deploy');
const text = readFileSync(join(deploy, 'compose.yaml'), 'utf8');
const [compose] = documents(text);
const {pod, valkey, cache, front} = compose.services;
const shipped = (path) => readFileSync(join(deploy, path), 'utf8');

test('each file, network, volume, configuration and secret that a service names is there', () => {
  for (const {file} of Object.values(compose.configs)) assert.ok(existsSync(join(deploy, file)), file);
  // Made by whoever starts it, as the file says; never committed.
  assert.match(text, new RegExp(`> deploy/${compose.secrets.store_key.file.slice(2)}\\)`));
  assert.match(readFileSync(join(repository, '.gitignore'), 'utf8'), /^\/deploy\/store\.key$/m);
  for (const [name, service] of Object.entries(compose.services)) {
    for (const one of service.networks) assert.ok(one in compose.networks, `${name}: ${one}`);
    for (const {source} of service.configs ?? []) assert.ok(source in compose.configs, `${name}: ${source}`);
    for (const one of service.secrets ?? []) assert.ok(one in compose.secrets, `${name}: ${one}`);
    for (const one of Object.keys(service.depends_on ?? {})) assert.ok(compose.services[one].healthcheck, `${name}: ${one}`);
    // Each path of a command is one that is mounted.
    const targets = (service.configs ?? []).map((one) => one.target);
    for (const word of service.command.filter((one) => one.startsWith('/etc/'))) assert.ok(targets.includes(word), word);
    assert.deepEqual(service.cap_drop, ['ALL'], name);
    assert.equal(service.read_only, true, name);
    assert.ok(service.security_opt.some((one) => one.startsWith('no-new-privileges')), name);
  }
  const [seccomp] = pod.security_opt;
  assert.ok(existsSync(join(deploy, seccomp.replace('seccomp=', ''))), seccomp);
});

test('the pods ask the cache and Valkey, which nobody else reaches, and HAProxy knows all pods', () => {
  const config = JSON.parse(shipped('lib/fleet/pod.json'));
  assert.equal(config.store.remote, 'http://cache:8090');
  assert.match(shipped('lib/fleet/cache.conf'), /listen 8090;/);
  assert.equal(config.cluster.redis, 'redis://valkey:6379');
  assert.match(shipped('lib/fleet/valkey.conf'), /^port 6379$/m);
  assert.equal(config.store.signingKeyFile, '/run/secrets/store_key');
  assert.deepEqual(pod.volumes, [config.workingDir]);
  for (const one of [valkey, cache]) {
    assert.deepEqual(one.networks, ['shared']);
    assert.equal(one.ports, undefined);
  }
  assert.equal(compose.networks.shared.internal, true);
  assert.deepEqual(pod.networks, ['front', 'shared']);
  assert.deepEqual(front.networks, ['front']);
  // The address that HAProxy passes on is believed, so only it may connect, and only from this machine.
  assert.equal(config.proxy.trustForwarded, true);
  assert.deepEqual(front.ports, ['127.0.0.1:8080:8000']);
  const [, slots, name, port] = /server-template pod (\d+) (\w+):(\d+) /.exec(shipped('lib/fleet/pods.cfg'));
  assert.deepEqual([Number(slots), name, `:${port}`], [pod.deploy.replicas, 'pod', config.addr]);
  assert.ok(parseInt(pod.stop_grace_period) > 30, 'above shutdownGraceSecs');
  // The commands of the ACL are those that the paper lists.
  const acl = (where) => /resetchannels (-@all(?: \+\w+)+)/.exec(where)[1];
  assert.equal(acl(shipped('lib/fleet/valkey.conf')), acl(readFileSync(join(repository, 'lib/cluster/README.md'), 'utf8')));
});

test('HAProxy reads what stands before the pods', {skip: find('haproxy') ? false : 'haproxy is not installed'}, (t) => {
  const directory = directoryFor(t);
  writeFileSync(join(directory, 'haproxy.cfg'), read('components/front-haproxy/haproxy.cfg'));
  // HAProxy 3.0 brought it.
  writeFileSync(join(directory, 'pods.cfg'), shipped('lib/fleet/pods.cfg').replace(' hash-key addr-port', ''));
  execFileSync(find('haproxy'), ['-c', '-f', join(directory, 'haproxy.cfg'), '-f', join(directory, 'pods.cfg')], {stdio: 'pipe'});
});

const composer = spawnSync('docker', ['compose', 'version']).status === 0;
test('Docker Compose reads it', {skip: composer ? false : 'Docker Compose is not installed'}, () => {
  execFileSync('docker', ['compose', '-f', join(deploy, 'compose.yaml'), 'config', '--quiet'], {stdio: 'pipe'});
});
