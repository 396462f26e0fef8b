// The server in a container as deploy/kubernetes asks for it, made by runc as a kubelet's runtime does it: a user namespace
// of its own, an ordinary user, no capabilities, no new privileges, a read-only root, an unmasked /proc, and the seccomp
// profile. Everything that the server does must work in there, and nothing that the profile leaves out.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'node:test';

import {cannotRun, eventually, firstOutside, missing, startPod} from './container.mjs';
import {makeSecrets, missingNginx, missingRedis, moveConfig, startCache, startRedis} from './parts.mjs';
import {configOf, directoryFor, find, only, render, repository} from './support.mjs';

const podOf = (objects) => only(objects, 'Deployment', 'sandboxd').spec.template.spec;
const pod = podOf(render('overlays/single'));

// Where it listens, and what /readyz says, as soon as it is ready.
async function ready(state) {
  const url = await eventually(() => /sandboxd listening on (http:\S+)\n/.exec(state.out)?.[1], state);
  const told = await eventually(async () => {
    const answer = await (await fetch(`${url}/readyz`, {headers: {Connection: 'close'}})).json();
    return answer.ready && answer;
  }, state);
  return {url, told};
}

async function ask(url, method, path, value) {
  const answer = await fetch(url + path, {method, headers: {Connection: 'close', ...(value && {'Content-Type': 'application/json'})},
                                          ...(value && {body: JSON.stringify(value)})});
  const text = await answer.text();
  return {status: answer.status, text, json: () => JSON.parse(text)};
}

async function loadtest(t, url, kinds) {
  const file = join(directoryFor(t), 'mix.json');
  const seconds = 4;
  writeFileSync(file, JSON.stringify({arrivals: 'uniform', durationSecs: seconds, timeoutMs: 300_000, kinds, thresholds: {errorRate: 0}}));
  const child = spawn(join(repository, 'deploy/loadtest'), ['--json', '-', file, url], {stdio: ['ignore', 'pipe', 'pipe']});
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (out += piece));
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(code, 0, out);
}

test('everything works in a pod: compiles, scripts, sandboxes, deployments', {skip: missing, timeout: 900_000}, async (t) => {
  const reason = cannotRun(t, pod);
  if (reason) return t.skip(reason);
  const state = await startPod(t, pod, ['/opt/bin/sandboxd', '--config', '/opt/config/config.json', '--addr', '127.0.0.1:0']);
  const {url, told} = await ready(state);
  assert.equal(told.jail, 'namespaces');
  assert.deepEqual(told.degraded, []);
  for (const wall of ['user namespace', 'pid namespace', 'mount namespace', 'network namespace', 'no capabilities',
                      'no new privileges', 'seccomp', 'no nested user namespaces'])
    assert.ok(told.walls.includes(wall), `${wall} is not among ${told.walls}`);
  await loadtest(t, url, {
    compileHit: {perSec: 1}, compileMiss: {perSec: 0.5, type: 'c', args: ['-O1']}, artifact: {perSec: 2}, execute: {perSec: 5},
    sandbox: {perSec: 0.5, runtime: 'node'}, deploy: {perSec: 0.5, runtime: 'node'}, request: {perSec: 2},
  });
  await loadtest(t, url, {
    compileMiss: {perSec: 0.25, type: 'cpp', args: ['-O2']}, sandbox: {perSec: 0.5, runtime: 'python'},
    deploy: {perSec: 0.25, runtime: 'python'},
  });
  // Where compilers can be started before they are needed, they are in a pod, too.
  const metrics = (await ask(url, 'GET', '/metrics')).text;
  if (state.log.includes(' compilers are started ')) assert.match(metrics, /^sandboxd_compile_path_total\{path="warm"\} [1-9]/m);
  // As in a roll: it drains and ends by itself.
  state.kill('TERM');
  assert.equal(await state.ended, 0, state.log);
});

test('two pods of a fleet share, and one takes over from another that ends', {
  skip: missing || missingRedis || missingNginx || (find('openssl') ? false : 'OpenSSL is not installed'), timeout: 900_000,
}, async (t) => {
  const fleet = render('overlays/fleet');
  const fleetPod = podOf(fleet);
  const reason = cannotRun(t, fleetPod);
  if (reason) return t.skip(reason);
  const objects = [...fleet, ...makeSecrets()];
  const [redis, cache] = [await startRedis(t, objects), await startCache(t, objects)];
  const config = moveConfig(configOf(fleet), '/opt/config', {redis: redis.port, cache: cache.port});
  config.workingDir = configOf(fleet).workingDir;
  // All containers are in this machine's network: ports are free ones, and addresses loopback's.
  config.cluster.listen = '127.0.0.1:0';
  const [container] = fleetPod.containers;
  const words = ['/opt/bin/sandboxd',
                 ...container.args.map((one) => one.replace('/etc/sandboxd/config.json', '/opt/config/config.json').replace('$(POD_IP)', '127.0.0.1')),
                 '--addr', '127.0.0.1:0'];
  const hosts = ['127.0.0.1 localhost sandboxd-redis sandboxd-cache'];
  const start = () => startPod(t, fleetPod, words, {config: JSON.stringify(config), objects, hosts});
  const states = [await start(), await start()];
  const [one, other] = [await ready(states[0]), await ready(states[1])];
  await eventually(async () => (await ask(one.url, 'GET', '/readyz')).json().degraded.length === 0, states[0]);
  await eventually(async () => (await ask(other.url, 'GET', '/readyz')).json().degraded.length === 0, states[1]);

  const code = 'require("http").createServer((q, r) => r.end("hello " + process.env.WHO)).listen(process.env.PORT)';
  const deployed = await ask(one.url, 'POST', '/faas/deploy', {runtime: 'node', code, env_vars: {WHO: 'fleet'}});
  assert.equal(deployed.status, 200, deployed.text);
  const {deployment_id: id} = deployed.json();
  // The other pod passes it on over cluster.listen.
  const passed = await ask(other.url, 'GET', `/faas/${id}/`);
  assert.deepEqual([passed.status, passed.text], [200, 'hello fleet']);
  const metrics = async ({url}) => (await ask(url, 'GET', '/metrics')).text;
  assert.match(await metrics(other), /^sandboxd_cluster_peer_connections_total\{way="out",result="done"\} [1-9]/m);
  assert.match(await metrics(one), /^sandboxd_cluster_peer_connections_total\{way="in",result="done"\} [1-9]/m);

  // A kept script, and a sandbox, from the pod that did not make them.
  const script = {sandbox_id: 'kept', init_script: 'let n = 0', script: '++n'};
  assert.equal((await ask(one.url, 'POST', '/execute', script)).json().result, 1);
  assert.equal((await ask(other.url, 'POST', '/execute', script)).json().result, 2);
  const made = await ask(one.url, 'POST', '/sandbox', {runtime: 'node', code: 'console.log("from the cache")'});
  const ran = await ask(other.url, 'POST', `/sandbox/${made.json().id}/execute`);
  assert.equal(ran.json().stdout, 'from the cache\n', ran.text);

  // As in a roll: it gives back what it ran, ends by itself, and the other one brings the files and starts the program.
  states[0].kill('TERM');
  assert.equal(await states[0].ended, 0, states[0].log);
  const taken = await ask(other.url, 'GET', `/faas/${id}/`);
  assert.deepEqual([taken.status, taken.text], [200, 'hello fleet']);
  assert.match(await metrics(other), /^sandboxd_cluster_deployments_total\{what="fetch",result="done"\} [1-9]/m);
  states[1].kill('TERM');
  assert.equal(await states[1].ended, 0, states[1].log);
});

// Calls the kernel with nothing in its hands. What the profile leaves out is "not implemented", whatever the arguments.
const probe = `
import ctypes, errno, json
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *words):
    ctypes.set_errno(0)
    libc.syscall(number, *[ctypes.c_long(w) for w in words])
    return errno.errorcode.get(ctypes.get_errno(), '')
left_out = {'ptrace': 101, 'process_vm_readv': 310, 'process_vm_writev': 311, 'kcmp': 312, 'pidfd_getfd': 438, 'bpf': 321,
    'perf_event_open': 298, 'userfaultfd': 323, 'io_uring_setup': 425, 'add_key': 248, 'request_key': 249, 'keyctl': 250,
    'open_by_handle_at': 304, 'name_to_handle_at': 303, 'fanotify_init': 300, 'quotactl': 179, 'swapon': 167, 'acct': 163,
    'fsopen': 430, 'fsconfig': 431, 'fsmount': 432, 'fspick': 433, 'open_tree': 428, 'move_mount': 429,
    'chroot': 161, 'mknod': 133, 'setxattr': 188, 'removexattr': 197, 'shmget': 29, 'msgget': 68, 'semget': 64, 'mq_open': 240,
    'io_setup': 206, 'vmsplice': 278, 'mbind': 237, 'set_mempolicy': 238, 'migrate_pages': 256, 'move_pages': 279,
    'modify_ldt': 154, 'iopl': 172, 'ioperm': 173, 'kexec_load': 246, 'init_module': 175, 'finit_module': 313,
    'delete_module': 176, 'reboot': 169, 'syslog': 103, 'settimeofday': 164, 'clock_settime': 227, 'clock_adjtime': 305,
    'setdomainname': 171, 'vhangup': 153, 'sync': 162, 'syncfs': 306, 'memfd_secret': 447, 'clone3': 435, 'mlock': 149}
told = {name: call(number) for name, number in left_out.items()}
told['packets'] = call(41, 17, 3, 0)
told['vsock'] = call(41, 40, 1, 0)
told['crypto'] = call(41, 38, 5, 0)
told['netfilter'] = call(41, 16, 3, 12)
told['audit'] = call(41, 16, 3, 9)
told['personality'] = call(135, 0x0040000)
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
print(json.dumps({'told': told, 'asks': call(135, 0xffffffff), 'unix': call(41, 1, 1, 0),
    **{name: status[name].strip() for name in ('Seccomp', 'NoNewPrivs', 'CapEff', 'CapBnd', 'Uid')},
    'map': open('/proc/self/uid_map').read().split(),
    'writable': [path for path in ('/', '/usr', '/etc', '/opt/bin', '/opt/config') if __import__('os').access(path, 2)]}))
`;

test('a pod has nothing that the profile leaves out', {skip: missing || (process.arch !== 'x64' && 'the numbers are those of x86-64')},
     async (t) => {
  const reason = cannotRun(t, pod);
  if (reason) return t.skip(reason);
  const state = await startPod(t, pod, ['/usr/bin/python3', '-c', probe]);
  assert.equal(await state.ended, 0, state.log);
  const result = JSON.parse(state.out);
  for (const [name, error] of Object.entries(result.told)) assert.equal(error, 'ENOSYS', name);
  assert.deepEqual([result.asks, result.unix], ['', '']);
  assert.deepEqual([result.Seccomp, result.NoNewPrivs, Number(`0x${result.CapEff}`), Number(`0x${result.CapBnd}`)], ['2', '1', 0, 0]);
  assert.match(result.Uid, /^10001\s/);
  assert.deepEqual(result.map, ['0', String(firstOutside), '65536']);
  assert.deepEqual(result.writable, []);
});
