// A pod's container without a cluster: made by runc as a kubelet's runtime does it, with a user namespace of its own, an
// ordinary user, no capabilities, no new privileges, a read-only root, an unmasked /proc, and the seccomp profile.
import assert from 'node:assert/strict';
import {execFileSync, spawn, spawnSync} from 'node:child_process';
import {chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';

import {writeVolumes} from './parts.mjs';
import {directoryFor, find, read} from './support.mjs';

// The ids of the node that a kubelet gives to the pod.
export const firstOutside = 655_360_000;

export const missing = process.getuid() !== 0 ? 'only root makes the user namespace of a pod'
  : !find('runc') ? 'runc is not installed'
  : false;

// A bundle for a pod's first container, whose root has this machine's programs, read only, in place of an image's. `config` is
// the text of /opt/config/config.json; below that folder are the pod's Secrets, of `objects`, where they are mounted.
// `hosts` are lines of /etc/hosts.
function bundle(t, pod, words, {config = read('base/config.json'), objects, hosts, seccomp} = {}) {
  const [server] = pod.containers;
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
  writeFileSync(join(directory, 'config/config.json'), config);
  if (objects) {
    const fleet = {...server, volumeMounts: server.volumeMounts.filter((one) => one.name === 'fleet')};
    writeVolumes(join(directory, 'config'), objects, pod, fleet, {uid: firstOutside, gid: firstOutside + pod.securityContext.fsGroup});
  }
  if (hosts) writeFileSync(join(directory, 'hosts'), `${hosts.join('\n')}\n`);
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
      ...(hosts ? [bind(join(directory, 'hosts'), '/etc/hosts', 'ro')] : []),
    ],
    linux: {
      namespaces: ['user', 'mount', 'pid', 'ipc', 'uts', 'cgroup'].map((type) => ({type})),
      uidMappings: ids, gidMappings: ids, maskedPaths: [], readonlyPaths: [],
      ...(seccomp !== null && {seccomp: seccomp ?? JSON.parse(read('components/seccomp/sandboxd.json'))}),
    },
  }));
  return directory;
}

function runc(directory, ...words) {
  return ['--root', join(directory, 'state'), ...words];
}

// Why there can be no container at all here, if that is so: in a chroot, for example.
export function cannotRun(t, pod) {
  const directory = bundle(t, pod, ['/usr/bin/true'], {seccomp: null});
  const words = runc(directory, 'run', '--bundle', directory, `sandboxd-test-${process.pid}-first`);
  const {status, stderr} = spawnSync(find('runc'), words, {encoding: 'utf8'});
  return status === 0 ? '' : `runc makes no container here: ${stderr.trim()}`;
}

// Runs until the end of the test. Answers what it has said (out, log), its end (ended, with its status), and kill(SIGNAL).
export async function startPod(t, pod, words, more) {
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
  const directory = bundle(t, pod, words, more);
  const child = spawn(find('runc'), runc(directory, 'run', '--bundle', directory, name), {stdio: ['ignore', 'pipe', 'pipe']});
  state = {out: '', log: ''};
  child.stdout.on('data', (piece) => (state.out += piece));
  child.stderr.on('data', (piece) => (state.log += piece));
  state.ended = new Promise((resolve) => child.on('close', (code) => resolve(code)));
  state.kill = (signal) => execFileSync(find('runc'), runc(directory, 'kill', name, signal), {stdio: 'pipe'});
  return state;
}

// What `what` answers, as soon as that is something; an error when the pod has ended.
export async function eventually(what, state) {
  let over = false;
  state.ended.then(() => (over = true));
  for (let found; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
    if ((found = await what())) return found;
    if (over) throw new Error(`the pod has ended: ${state.out}${state.log}`);
  }
}
