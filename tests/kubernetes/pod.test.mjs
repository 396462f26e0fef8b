// The server in a container as deploy/kubernetes asks for it, made by runc as a kubelet's runtime does it: a user namespace
// of its own, an ordinary user, no capabilities, no new privileges, a read-only root, an unmasked /proc, and the seccomp
// profile. Everything that the server does must work in there, and nothing that the profile leaves out.
import assert from 'node:assert/strict';
import {execFileSync, spawn, spawnSync} from 'node:child_process';
import {chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import test from 'node:test';

import {directoryFor, find, only, read, render, repository} from './support.mjs';

const {spec: pod} = only(render('overlays/single'), 'Deployment', 'sandboxd').spec.template;
const [server] = pod.containers;
// The ids of the node that a kubelet gives to the pod.
const firstOutside = 655_360_000;

const missing = process.getuid() !== 0 ? 'only root makes the user namespace of a pod'
  : !find('runc') ? 'runc is not installed'
  : false;

// A bundle whose root has this machine's programs, read only, in place of an image's.
function bundle(t, words, seccomp = JSON.parse(read('components/seccomp/sandboxd.json'))) {
  const directory = directoryFor(t);
  chmodSync(directory, 0o755);
  const root = join(directory, 'root');
  for (const one of ['usr', 'etc', 'proc', 'dev', 'sys', 'tmp', 'run', 'var/lib/sandboxd', 'opt/bin', 'opt/config'])
    mkdirSync(join(root, one), {recursive: true});
  for (const one of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${one}`, join(root, one));
  chmodSync(join(root, 'tmp'), 0o1777);
  const {runAsUser, runAsGroup} = pod.securityContext;
  mkdirSync(join(directory, 'work'));
  chownSync(join(directory, 'work'), firstOutside + runAsUser, firstOutside + runAsGroup);
  mkdirSync(join(directory, 'config'));
  writeFileSync(join(directory, 'config/config.json'), read('base/config.json'));
  const bind = (source, destination, mode) => ({source, destination, type: 'bind', options: ['rbind', mode, 'nosuid', 'nodev']});
  const ids = [{containerID: 0, hostID: firstOutside, size: 65_536}];
  assert.equal(pod.hostUsers, false);
  assert.equal(server.securityContext.procMount, 'Unmasked');
  assert.deepEqual(server.securityContext.capabilities, {drop: ['ALL']});
  writeFileSync(join(directory, 'config.json'), JSON.stringify({
    ociVersion: '1.0.2',
    hostname: 'pod',
    process: {
      args: words, cwd: '/', env: ['PATH=/usr/local/bin:/usr/bin:/bin'], user: {uid: runAsUser, gid: runAsGroup},
      capabilities: {}, noNewPrivileges: !server.securityContext.allowPrivilegeEscalation,
    },
    root: {path: 'root', readonly: server.securityContext.readOnlyRootFilesystem},
    mounts: [
      {destination: '/proc', type: 'proc', source: 'proc'},
      {destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k']},
      {destination: '/dev/pts', type: 'devpts', source: 'devpts',
       options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620']},
      {destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k']},
      {destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'mode=1777']},
      bind('/usr', '/usr', 'ro'), bind('/etc', '/etc', 'ro'),
      bind(dirname(process.env.SANDBOXD_BINARY), '/opt/bin', 'ro'), bind(join(directory, 'config'), '/opt/config', 'ro'),
      bind(join(directory, 'work'), '/var/lib/sandboxd', 'rw'),
    ],
    linux: {
      namespaces: ['user', 'mount', 'pid', 'ipc', 'uts', 'cgroup'].map((type) => ({type})),
      uidMappings: ids, gidMappings: ids, maskedPaths: [], readonlyPaths: [],
      ...(seccomp && {seccomp}),
    },
  }));
  return directory;
}

function runc(directory, ...words) {
  return ['--root', join(directory, 'state'), ...words];
}

// Why there can be no container at all here, if that is so: in a chroot, for example.
function cannotRun(t) {
  const directory = bundle(t, ['/usr/bin/true'], null);
  const words = runc(directory, 'run', '--bundle', directory, `sandboxd-test-${process.pid}-first`);
  const {status, stderr} = spawnSync(find('runc'), words, {encoding: 'utf8'});
  return status === 0 ? '' : `runc makes no container here: ${stderr.trim()}`;
}

async function startPod(t, words) {
  let state;
  const name = `sandboxd-test-${process.pid}-${Math.random().toString(36).slice(2)}`;
  // Before the one that removes the directory: they run in this order.
  t.after(async () => {
    try {
      execFileSync(find('runc'), runc(directory, 'delete', '--force', name), {stdio: 'pipe'});
    } catch {
      // It has ended already.
    }
    await state?.ended;
  });
  const directory = bundle(t, words);
  const child = spawn(find('runc'), runc(directory, 'run', '--bundle', directory, name), {stdio: ['ignore', 'pipe', 'pipe']});
  state = {out: '', log: ''};
  child.stdout.on('data', (piece) => (state.out += piece));
  child.stderr.on('data', (piece) => (state.log += piece));
  state.ended = new Promise((resolve) => child.on('close', (code) => resolve(code)));
  state.kill = (signal) => execFileSync(find('runc'), runc(directory, 'kill', name, signal), {stdio: 'pipe'});
  return state;
}

async function eventually(what, state) {
  let over = false;
  state.ended.then(() => (over = true));
  for (let found; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
    if ((found = await what())) return found;
    if (over) throw new Error(`the pod has ended: ${state.out}${state.log}`);
  }
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
  const reason = cannotRun(t);
  if (reason) return t.skip(reason);
  const state = await startPod(t, ['/opt/bin/sandboxd', '--config', '/opt/config/config.json', '--addr', '127.0.0.1:0']);
  const url = await eventually(() => /sandboxd listening on (http:\S+)\n/.exec(state.out)?.[1], state);
  const get = async (path) => (await fetch(url + path, {headers: {Connection: 'close'}})).text();
  const ready = await eventually(async () => {
    const told = JSON.parse(await get('/readyz'));
    return told.ready && told;
  }, state);
  assert.equal(ready.jail, 'namespaces');
  assert.deepEqual(ready.degraded, []);
  for (const wall of ['user namespace', 'pid namespace', 'mount namespace', 'network namespace', 'no capabilities',
                      'no new privileges', 'seccomp', 'no nested user namespaces'])
    assert.ok(ready.walls.includes(wall), `${wall} is not among ${ready.walls}`);
  await loadtest(t, url, {
    compileHit: {perSec: 1}, compileMiss: {perSec: 0.5, type: 'c', args: ['-O1']}, artifact: {perSec: 2}, execute: {perSec: 5},
    sandbox: {perSec: 0.5, runtime: 'node'}, deploy: {perSec: 0.5, runtime: 'node'}, request: {perSec: 2},
  });
  await loadtest(t, url, {
    compileMiss: {perSec: 0.25, type: 'cpp', args: ['-O2']}, sandbox: {perSec: 0.5, runtime: 'python'},
    deploy: {perSec: 0.25, runtime: 'python'},
  });
  // Where compilers can be started before they are needed, they are in a pod, too.
  const metrics = await get('/metrics');
  if (state.log.includes(' compilers are started ')) assert.match(metrics, /^sandboxd_compile_path_total\{path="warm"\} [1-9]/m);
  // As in a roll: it drains and ends by itself.
  state.kill('TERM');
  assert.equal(await state.ended, 0, state.log);
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
  const reason = cannotRun(t);
  if (reason) return t.skip(reason);
  const state = await startPod(t, ['/usr/bin/python3', '-c', probe]);
  assert.equal(await state.ended, 0, state.log);
  const result = JSON.parse(state.out);
  for (const [name, error] of Object.entries(result.told)) assert.equal(error, 'ENOSYS', name);
  assert.deepEqual([result.asks, result.unix], ['', '']);
  assert.deepEqual([result.Seccomp, result.NoNewPrivs, Number(`0x${result.CapEff}`), Number(`0x${result.CapBnd}`)], ['2', '1', 0, 0]);
  assert.match(result.Uid, /^10001\s/);
  assert.deepEqual(result.map, ['0', String(firstOutside), '65536']);
  assert.deepEqual(result.writable, []);
});
