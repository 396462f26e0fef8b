// What deploy/kubernetes tells Prometheus, Grafana and the autoscalers: each metric and label that it names is one of the
// server's, Prometheus' own tool reads each expression, and each alert fires when it should and not before.
import assert from 'node:assert/strict';
import {execFileSync, spawnSync} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import net from 'node:net';
import {join} from 'node:path';
import test from 'node:test';

import {serverFor} from '../support/server.mjs';
import {directoryFor, documents, freePort, read, repository} from './support.mjs';

// What Prometheus adds.
const added = ['namespace', 'pod', 'job', 'instance', 'le'];

const dashboard = JSON.parse(read('components/monitoring/dashboard.json'));
const [alerts] = documents(read('components/monitoring/prometheusrule.yaml'));
const [adapter] = documents(read('components/hpa/prometheus-adapter.yaml'));
const [scaled] = documents(read('components/keda/scaledobject.yaml'));
const [autoscaler] = documents(read('components/hpa/horizontalpodautoscaler.yaml'));

const expressions = [
  ...dashboard.panels.flatMap((panel) => (panel.targets ?? []).map((one) => [`dashboard: ${panel.title}`, one.expr])),
  ...alerts.spec.groups.flatMap((group) => group.rules.map((one) => [`alert: ${one.alert}`, one.expr])),
  ...adapter.rules.custom.flatMap((one) => [[`adapter: ${one.name.as}`, one.metricsQuery],
                                            [`adapter: ${one.name.as}, series`, one.seriesQuery]]),
  ...scaled.spec.triggers.map((one) => ['KEDA', one.metadata.query]),
].map(([where, expression]) => [where, expression
  .replaceAll('$__rate_interval', '5m').replaceAll(/\$(namespace|pod)\b/g, '.*')
  .replaceAll('<<.GroupBy>>', 'namespace,pod').replaceAll('<<.LabelMatchers>>', 'namespace="x",pod="y"')]);

// {metric: labels}, as a server tells them that has had one request, and a stranger at the port for other servers. Its index
// and its cache are away.
async function metricsOfServer(t) {
  const signingKeyFile = join(directoryFor(t), 'store.key');
  writeFileSync(signingKeyFile, 'k'.repeat(40), {mode: 0o400});
  const port = await freePort();
  const url = await serverFor(t, process.env.SANDBOXD_BINARY, {
    store: {remote: 'http://127.0.0.1:1', signingKeyFile},
    cluster: {redis: 'redis://127.0.0.1:1', listen: `127.0.0.1:${port}`},
  });
  await (await fetch(`${url}/healthz`)).text();
  await new Promise((resolve, reject) => {
    const stranger = net.connect(port, '127.0.0.1', () => stranger.write('hello\n'));
    stranger.on('data', () => {});
    stranger.on('error', reject);
    stranger.on('close', resolve);
  });
  const text = await (await fetch(`${url}/metrics`, {headers: {Connection: 'close'}})).text();
  const metrics = new Map();
  for (const line of text.split('\n')) {
    const sample = /^([a-z_0-9]+)(?:\{(.*)\})? /.exec(line);
    if (!sample) continue;
    const labels = metrics.get(sample[1]) ?? new Map();
    for (const [, name, value] of (sample[2] ?? '').matchAll(/(\w+)="([^"]*)"/g)) labels.set(name, [...(labels.get(name) ?? []), value]);
    metrics.set(sample[1], labels);
  }
  return metrics;
}

test('each metric, and each label of it, is one of the server\'s', async (t) => {
  const metrics = await metricsOfServer(t);
  assert.ok(metrics.size > 100);
  let seen = 0;
  for (const [where, expression] of expressions) {
    for (const [, name, matchers] of expression.matchAll(/\b((?:sandboxd|process)_\w+)(?:\{([^}]*)\})?/g)) {
      ++seen;
      const labels = metrics.get(name);
      assert.ok(labels, `${where}: the server has no ${name}`);
      for (const [, label, how, value] of (matchers ?? '').matchAll(/(\w+)(=~|!=|=)"([^"]*)"/g)) {
        if (added.includes(label)) continue;
        assert.ok(labels.has(label), `${where}: ${name} has no label ${label}`);
        // A status is one that the server has answered already, or may answer some time.
        if (how === '=' && label !== 'status') assert.ok(labels.get(label).includes(value), `${where}: ${name} is never ${label}="${value}"`);
      }
    }
    for (const [, list, rest] of expression.matchAll(/\bby \(([^)]*)\) (.*)/gs)) {
      const [, name] = /\b((?:sandboxd|process)_\w+)/.exec(rest);
      for (const label of list.split(/,\s*/))
        assert.ok(added.includes(label) || metrics.get(name).has(label), `${where}: ${name} has no label ${label}`);
    }
  }
  assert.ok(seen >= expressions.length);
  for (const one of autoscaler.spec.metrics) assert.ok(metrics.has(one.pods.metric.name));
  for (const variable of dashboard.templating.list.filter((one) => one.type === 'query'))
    assert.ok(metrics.has(/label_values\((\w+)/.exec(variable.query.query)[1]));
});

test('the autoscaler asks for what the adapter answers, and both ways mean the same', () => {
  const asked = autoscaler.spec.metrics.map((one) => [one.pods.metric.name, one.pods.target.averageValue]);
  assert.deepEqual(asked.map(([name]) => name), adapter.rules.custom.map((one) => one.name.as));
  const keda = scaled.spec.triggers.map((one) => [/(sandboxd_\w+)/.exec(one.metadata.query)[1], one.metadata.threshold]);
  assert.deepEqual(keda, asked);
  assert.deepEqual(scaled.spec.advanced.horizontalPodAutoscalerConfig.behavior, autoscaler.spec.behavior);
  assert.deepEqual([scaled.spec.minReplicaCount, scaled.spec.maxReplicaCount],
                   [autoscaler.spec.minReplicas, autoscaler.spec.maxReplicas]);
});

test('the dashboard\'s panels have numbers of their own and do not overlap', () => {
  const taken = new Set();
  for (const {gridPos: {x, y, w, h}, title} of dashboard.panels) {
    assert.ok(x + w <= 24, title);
    for (let i = x; i < x + w; ++i) {
      for (let j = y; j < y + h; ++j) {
        assert.ok(!taken.has(`${i} ${j}`), title);
        taken.add(`${i} ${j}`);
      }
    }
  }
  assert.equal(new Set(dashboard.panels.map((one) => one.id)).size, dashboard.panels.length);
});

test('promtool reads every expression, and the alerts fire when they should', (t) => {
  const directory = directoryFor(t);
  const found = spawnSync(join(repository, 'tests/promtool/find'), [join(process.cwd(), 'promtool')], {encoding: 'utf8'});
  if (found.status === 77) return t.skip(found.stdout.trim());
  const promtool = found.stdout.trim();
  const run = (...words) => execFileSync(promtool, words, {encoding: 'utf8', cwd: directory, stdio: ['ignore', 'pipe', 'pipe']});
  const all = expressions.map(([, expr], i) => ({record: `expression:number_${i}`, expr}));
  writeFileSync(join(directory, 'expressions.yaml'), JSON.stringify({groups: [{name: 'all', rules: all}]}));
  assert.match(run('check', 'rules', 'expressions.yaml'), new RegExp(`SUCCESS: ${all.length} rules found`));
  writeFileSync(join(directory, 'rules.yaml'), JSON.stringify(alerts.spec));
  assert.match(run('check', 'rules', 'rules.yaml'), /SUCCESS: 13 rules found/);
  const [cases] = documents(read('../../tests/kubernetes/alerts.yaml'));
  // Each alert has a time at which it fires, and one at which it does not.
  for (const {alert} of alerts.spec.groups[0].rules) {
    const told = cases.tests.flatMap((one) => one.alert_rule_test).filter((one) => one.alertname === alert);
    assert.ok(told.some((one) => one.exp_alerts.length > 0), alert);
    assert.ok(told.some((one) => one.exp_alerts.length === 0), alert);
  }
  for (const group of alerts.spec.groups) for (const rule of group.rules) delete rule.annotations;
  writeFileSync(join(directory, 'silent.yaml'), JSON.stringify(alerts.spec));
  writeFileSync(join(directory, 'alerts.yaml'), JSON.stringify({...cases, rule_files: ['silent.yaml']}));
  assert.match(run('test', 'rules', 'alerts.yaml'), /SUCCESS/);
});
