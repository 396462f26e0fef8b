// deploy/kubernetes, rendered by kustomize: it has the shapes that Kubernetes takes, and the walls that README.md promises.
// No cluster runs here.
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {mkdirSync, writeFileSync, readdirSync} from 'node:fs';
import {createRequire} from 'node:module';
import {dirname, join} from 'node:path';
import test from 'node:test';

import {configOf, defaultOf, documents, kubernetes, only, read, render} from './support.mjs';

const overlays = ['overlays/single', 'overlays/fleet'];
const require = createRequire(import.meta.url);

// A kustomization that has everything: components that no overlay uses are rendered as well.
function withComponent(component) {
  const directory = join(process.cwd(), 'composed', component);
  mkdirSync(directory, {recursive: true});
  // kustomize takes relative paths only.
  const to = '../'.repeat(directory.split('/').length - 1) + kubernetes.slice(1);
  writeFileSync(join(directory, 'kustomization.yaml'), JSON.stringify({
    apiVersion: 'kustomize.config.k8s.io/v1beta1', kind: 'Kustomization', namespace: 'sandboxd',
    resources: [`${to}/base`], components: [`${to}/components/${component}`],
  }));
  return directory;
}

const components = readdirSync(join(kubernetes, 'components')).sort();
const everything = [
  ...overlays.map((one) => [one, render(one)]),
  ...components.map((one) => [`components/${one}`, render(withComponent(one))]),
];

function moduleOf({apiVersion, kind}) {
  const extra = {'monitoring.coreos.com/v1': '@kubernetes-models/prometheus-operator/', 'keda.sh/v1alpha1': '@kubernetes-models/keda/'};
  return `${extra[apiVersion] ?? 'kubernetes-models/'}${apiVersion}/${kind}`;
}

test('everything renders', () => {
  assert.deepEqual(components,
                   ['cache', 'front', 'front-envoy', 'front-haproxy', 'front-nginx', 'hpa', 'installs', 'keda', 'monitoring',
                    'redis', 'seccomp']);
  for (const [name, objects] of everything) assert.ok(objects.length > 4, name);
});

test('each object is valid by the schema of its kind', async () => {
  for (const [name, objects] of everything) {
    for (const object of objects) {
      const model = (await import(moduleOf(object)))[object.kind];
      assert.doesNotThrow(() => new model(object).validate(), `${name}: ${object.kind} ${object.metadata.name}`);
    }
  }
});

// A member that no schema knows is dropped by a cluster without a word. TypeScript refuses it in a literal.
function complaints(objects) {
  const directory = join(process.cwd(), 'typed');
  mkdirSync(directory, {recursive: true});
  const lines = [];
  objects.forEach((object, i) => {
    lines.push(`import type {I${object.kind} as T${i}} from ${JSON.stringify(moduleOf(object))};`);
    lines.push(`const value${i}: T${i} = ${JSON.stringify(object)};`, `void value${i};`);
  });
  writeFileSync(join(directory, 'objects.ts'), lines.join('\n'));
  const compiler = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc');
  try {
    execFileSync(process.execPath, [compiler, '--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext',
                                    '--moduleResolution', 'nodenext', '--skipLibCheck', join(directory, 'objects.ts')],
                 {encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']});
    return '';
  } catch (error) {
    return error.stdout + error.stderr;
  }
}

test('no object has a member that its kind does not know', () => {
  assert.equal(complaints(everything.flatMap(([, objects]) => objects)), '');
  // The proof that this test can fail.
  const deployment = structuredClone(only(render('overlays/single'), 'Deployment', 'sandboxd'));
  deployment.spec.template.spec.containers[0].readOnlyRootFilesystem = true;
  assert.match(complaints([deployment]), /readOnlyRootFilesystem\W+does not exist/);
});

test('every pod is without privilege, and nothing is Unconfined that need not be', () => {
  for (const [name, objects] of everything) {
    for (const object of objects.filter((one) => one.spec?.template?.spec)) {
      const pod = object.spec.template.spec;
      assert.equal(pod.automountServiceAccountToken, false, name);
      for (const member of ['hostNetwork', 'hostPID', 'hostIPC']) assert.ok(!pod[member], `${name}: ${member}`);
      assert.ok(['RuntimeDefault', 'Localhost'].includes(pod.securityContext.seccompProfile.type), name);
      for (const one of [...pod.containers, ...(pod.initContainers ?? [])]) {
        const context = one.securityContext;
        assert.equal(context.allowPrivilegeEscalation, false, one.name);
        assert.equal(context.readOnlyRootFilesystem, true, one.name);
        assert.deepEqual(context.capabilities, {drop: ['ALL']}, one.name);
        assert.ok(!context.privileged, one.name);
        assert.ok(!context.seccompProfile, one.name);
        // Only what writes into the node's directory is root, and that is all it does.
        const root = object.kind === 'DaemonSet' && one.name === 'install';
        assert.equal(context.runAsUser === 0, root, one.name);
        assert.ok(root || context.runAsNonRoot || pod.securityContext.runAsNonRoot, one.name);
        assert.ok(one.resources.limits.memory, one.name);
      }
    }
  }
});

test('the server\'s pod has its own user namespace, an unmasked /proc for its jails, and a filter', () => {
  for (const overlay of overlays) {
    const objects = render(overlay);
    const {spec} = only(objects, 'Deployment', 'sandboxd').spec.template;
    assert.equal(spec.hostUsers, false);
    assert.equal(spec.containers[0].securityContext.procMount, 'Unmasked');
    assert.deepEqual(spec.securityContext.seccompProfile, {type: 'Localhost', localhostProfile: 'sandboxd.json'});
    // The node gets exactly the file that the pod names.
    const install = only(objects, 'DaemonSet', 'sandboxd-seccomp').spec.template.spec;
    assert.match(install.initContainers[0].command.at(-1), / \/host\/sandboxd\.json$/);
    const profile = objects.find((one) => one.kind === 'ConfigMap' && one.metadata.name === install.volumes[0].configMap.name);
    assert.deepEqual(JSON.parse(profile.data['sandboxd.json']), JSON.parse(read('components/seccomp/sandboxd.json')));
  }
});

test('one pod keeps its disk, and lets go of it before the next one starts', () => {
  const objects = render('overlays/single');
  const {spec} = only(objects, 'Deployment', 'sandboxd');
  assert.deepEqual(spec.strategy, {type: 'Recreate'});
  assert.equal(spec.replicas, 1);
  const claim = only(objects, 'PersistentVolumeClaim');
  assert.deepEqual(spec.template.spec.volumes.find((one) => one.name === 'work'),
                   {name: 'work', persistentVolumeClaim: {claimName: claim.metadata.name}});
});

test('a roll loses no request: readiness, a pause, and more time than the server takes to drain', () => {
  for (const overlay of overlays) {
    const objects = render(overlay);
    const {spec} = only(objects, 'Deployment', 'sandboxd').spec.template;
    const [server] = spec.containers;
    assert.equal(server.readinessProbe.httpGet.path, '/readyz');
    const pause = Number(server.lifecycle.preStop.exec.command[1]);
    const config = configOf(objects);
    const drain = config.shutdownGraceSecs ?? defaultOf('shutdownGraceSecs');
    const stop = config.faas.stopGraceSecs ?? defaultOf('faas.stopGraceSecs');
    assert.ok(pause >= 5);
    // Killed jobs have 5 s to be answered (app/daemon.cpp); then a reserve.
    assert.ok(spec.terminationGracePeriodSeconds >= pause + drain + 5 + stop + 5, `${spec.terminationGracePeriodSeconds}`);
  }
});

test('selectors select: services, budgets, policies and monitors find their pods', () => {
  const matches = (selector, labels) => Object.entries(selector).every(([key, value]) => labels?.[key] === value);
  for (const [name, objects] of everything) {
    const pods = objects.filter((one) => one.spec?.template).map((one) => one.spec.template.metadata.labels);
    const hits = (selector) => pods.some((labels) => matches(selector, labels));
    for (const one of objects) {
      const what = `${name}: ${one.kind} ${one.metadata.name}`;
      if (one.kind === 'Service' && name !== 'components/front') assert.ok(hits(one.spec.selector), what);
      if (one.kind === 'PodDisruptionBudget' && name !== 'components/front') assert.ok(hits(one.spec.selector.matchLabels), what);
      if (one.kind === 'NetworkPolicy' && name !== 'components/front') assert.ok(hits(one.spec.podSelector.matchLabels), what);
      if (one.kind === 'ServiceMonitor') {
        const services = objects.filter((each) => each.kind === 'Service' && matches(one.spec.selector.matchLabels, each.metadata.labels));
        assert.deepEqual(services.map((each) => each.metadata.name), ['sandboxd'], what);
        assert.ok(services[0].spec.ports.some((port) => port.name === one.spec.endpoints[0].port), what);
      }
      if (one.kind === 'HorizontalPodAutoscaler' || one.kind === 'ScaledObject')
        assert.ok(only(objects, 'Deployment', one.spec.scaleTargetRef.name), what);
    }
  }
  // The number of pods is the autoscaler's alone.
  assert.equal('replicas' in only(render('overlays/fleet'), 'Deployment', 'sandboxd').spec, false);
});

test('the way out: names and the registry\'s TLS for installs, nothing private; what a fleet shares is in fleet.test.mjs', () => {
  assert.deepEqual(documents(read('base/networkpolicy.yaml'))[0].spec.egress, []);
  for (const overlay of overlays) {
    const [names, internet] = only(render(overlay), 'NetworkPolicy', 'sandboxd-installs').spec.egress;
    assert.deepEqual(names.ports.map((one) => one.port), [53, 53]);
    assert.deepEqual(internet.ports, [{protocol: 'TCP', port: 443}]);
    const [four, six] = internet.to.map((one) => one.ipBlock);
    // Clouds have their metadata at 169.254.169.254, and at fd00:ec2::254.
    assert.deepEqual(four.except, ['10.0.0.0/8', '100.64.0.0/10', '169.254.0.0/16', '172.16.0.0/12', '192.168.0.0/16']);
    assert.deepEqual(six.except, ['fc00::/7', 'fe80::/10']);
    // No other rule of a server has an address of the internet, or of a whole network.
    const blocks = render(overlay).filter((one) => one.kind === 'NetworkPolicy' && one.metadata.name !== 'sandboxd-installs')
      .flatMap((one) => [...(one.spec.egress ?? []).flatMap((rule) => rule.to), ...(one.spec.ingress ?? []).flatMap((rule) => rule.from)]);
    for (const peer of blocks) assert.ok(peer && !peer.ipBlock && (peer.podSelector || peer.namespaceSelector), JSON.stringify(peer));
  }
  for (const overlay of overlays) {
    const policy = only(render(overlay), 'NetworkPolicy', 'sandboxd');
    assert.deepEqual(policy.spec.policyTypes, ['Ingress', 'Egress']);
    for (const rule of policy.spec.ingress) assert.ok(rule.from.length > 0 && rule.ports.length === 1);
  }
});

test('no file is left out, and each YAML file is one that kustomize or its README names', () => {
  const files = readdirSync(kubernetes, {recursive: true}).filter((one) => /\.(ya?ml)$/.test(one) && !one.endsWith('kustomization.yaml'));
  const elsewhere = ['components/hpa/prometheus-adapter.yaml', 'components/front-envoy/envoy.yaml'];
  for (const file of files) {
    for (const one of documents(read(file))) assert.equal(typeof one, 'object', file);
    if (elsewhere.includes(file)) continue;
    assert.match(read(join(dirname(file), 'kustomization.yaml')), new RegExp(`\\b${file.split('/').pop()}\\b`), file);
  }
});
