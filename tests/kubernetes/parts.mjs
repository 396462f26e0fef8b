// The parts of a fleet without a cluster: its Secrets as `deploy/kubernetes/secrets` makes them, a pod's volumes as a kubelet
// writes them, and the index and the cache as their pods start them.
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';

import {documents, find, freePort, kubernetes, only, startProgram} from './support.mjs';

export function makeSecrets(...words) {
  return documents(execFileSync(join(kubernetes, 'secrets'), words, {encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']}));
}

export function secretText(secrets, name, key) {
  return Buffer.from(only(secrets, 'Secret', name).data[key], 'base64').toString();
}

// [{path, bytes, mode}] of a volume; undefined: it is no ConfigMap, Secret or projection of them.
function filesOf(objects, volume) {
  const from = (kind, name, items, mode = 0o644) => {
    const {data} = only(objects, kind, name);
    return (items ?? Object.keys(data).map((key) => ({key, path: key}))).map(({key, path}) => {
      if (!(key in data)) throw new Error(`${kind} ${name} has no ${key}`);
      return {path, mode, bytes: Buffer.from(data[key], kind === 'Secret' ? 'base64' : 'utf8')};
    });
  };
  if (volume.configMap) return from('ConfigMap', volume.configMap.name, volume.configMap.items, volume.configMap.defaultMode);
  if (volume.secret) return from('Secret', volume.secret.secretName, volume.secret.items, volume.secret.defaultMode);
  return volume.projected?.sources.flatMap((source) => {
    const [[kind, {name, items}]] = Object.entries(source);
    return from({secret: 'Secret', configMap: 'ConfigMap'}[kind], name, items, volume.projected.defaultMode);
  });
}

// Writes a container's volumes below `directory`, each where it is mounted. Each file is a link to one in a folder that a
// link leads to. With `fsGroup` the pod's group may read each file, and it belongs to `ids`.
export function writeVolumes(directory, objects, spec, container, ids) {
  for (const {name, mountPath} of container.volumeMounts) {
    const files = filesOf(objects, spec.volumes.find((one) => one.name === name) ?? {});
    const folder = join(directory, mountPath);
    mkdirSync(folder, {recursive: true});
    if (!files) continue;
    mkdirSync(join(folder, '..2025_01_01'));
    symlinkSync('..2025_01_01', join(folder, '..data'));
    for (const {path, bytes, mode} of files) {
      const file = join(folder, '..2025_01_01', path);
      writeFileSync(file, bytes);
      chmodSync(file, spec.securityContext.fsGroup ? mode | 0o440 : mode);
      if (ids) chownSync(file, ids.uid, ids.gid);
      symlinkSync(join('..data', path), join(folder, path));
    }
  }
}

// Starts the container of a StatefulSet as the current user, with all of its paths below a directory of its own, and
// another port. Answers {port, stop, directory}; with a former one's `directory` it finds what that has left.
async function startPart(t, objects, name, {programs, port, change = (text) => text, before}) {
  const {spec} = only(objects, 'StatefulSet', name).spec.template;
  const [container] = spec.containers;
  const directory = before?.directory ?? mkdtempSync(join(tmpdir(), 'sandboxd-kubernetes-'));
  const paths = /(?<![\w$}/-])\/(?=(?:etc\/sandboxd|tmp|data|var\/cache\/sandboxd)\b)/g;
  const inside = (text) => text.replace(paths, `${directory}/`);
  const ours = await freePort();
  // Each port is written where the program reads it, and in the container's list.
  assert.equal(container.ports[0].containerPort, port);
  const moved = objects.map((one) => one.kind !== 'ConfigMap' ? one : {
    ...one,
    data: Object.fromEntries(Object.entries(one.data).map(([key, text]) =>
      [key, change(inside(text).replaceAll(`port ${port}`, `port ${ours}`).replaceAll(/(listen .*)\b8090\b/g, `$1${ours}`))])),
  });
  try {
    rmSync(join(directory, 'etc'), {recursive: true, force: true});
    writeVolumes(directory, moved, spec, container);
    mkdirSync(join(directory, 'bin'), {recursive: true});
    for (const [file, text] of Object.entries(programs)) writeFileSync(join(directory, 'bin', file), text, {mode: 0o755});
    const [program, ...words] = container.command.map(inside);
    const child = await startProgram(t, program, words, ours, {PATH: `${join(directory, 'bin')}:${process.env.PATH}:/usr/sbin`});
    const stop = () => new Promise((resolve) => {
      child.on('close', resolve);
      child.kill('SIGTERM');
    });
    return {directory, port: ours, stop};
  } finally {
    // After the program has ended.
    if (!before) t.after(() => rmSync(directory, {recursive: true, force: true}));
  }
}

// Redis' server is one program with its checkers, which does as it is called. Debian's redis-tools has it under a checker's
// name alone.
const redisProgram = ['valkey-server', 'redis-server', 'valkey-check-rdb', 'redis-check-rdb'].map(find).find((one) => one);
export const missingRedis = redisProgram ? false : 'neither Valkey nor Redis is installed';
export const missingNginx = find('nginx') ? false : 'nginx is not installed';

export function startRedis(t, objects, before) {
  const called = redisProgram.replace('check-rdb', 'server');
  return startPart(t, objects, 'sandboxd-redis', {
    before, port: 6379,
    programs: {'valkey-server': `#!/bin/bash\nexec -a ${called.split('/').pop()} ${redisProgram} "$@" --bind 127.0.0.1\n`},
  });
}

export function startCache(t, objects, before) {
  return startPart(t, objects, 'sandboxd-cache', {
    before, port: 8090, programs: {},
    // Else root's workers are somebody who may not write here.
    change: (text) => process.getuid() === 0 ? text.replace(/^worker_processes /m, 'user root;\nworker_processes ') : text,
  });
}

// The pods' configuration, with what it names found elsewhere: files below `directory`, the index and the cache at other
// ports.
export function moveConfig(config, directory, {redis, cache} = {}) {
  const moved = JSON.parse(JSON.stringify(config), (key, value) =>
    typeof value === 'string' && value.startsWith('/') ? join(directory, value) : value);
  if (cache) moved.store.remote = moved.store.remote.replace(/:\d+$/, `:${cache}`);
  if (redis) moved.cluster.redis += `:${redis}`;
  return moved;
}

export function textOf(...path) {
  return readFileSync(join(dirname(kubernetes), ...path), 'utf8');
}
