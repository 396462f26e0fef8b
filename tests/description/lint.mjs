// The API's description is a valid OpenAPI document with valid examples, and has the routes of the server: all of them,
// with their methods, and no other. Usage: node lint.mjs SANDBOXD

import { createRequire } from 'node:module';
import { withServer } from '../support/server.mjs';
import { descriptionOf } from './support.mjs';

const { createConfig, lintFromString } = createRequire(import.meta.url)('@redocly/openapi-core');

const rules = {
    extends: ['recommended'],
    rules: {
        'no-invalid-media-type-examples': 'error',
        'no-invalid-parameter-examples': 'error',
        'no-invalid-schema-examples': 'error',
        'operation-description': 'off',
        // As in the server, a literal segment goes before a captured one: /faas/deployments/{id} before /faas/{id}/{path}.
        'no-ambiguous-paths': 'off',
    },
};

const problems = [];
const check = (fine, what) => fine || problems.push(what);

// Names of captured segments do not count.
const shape = (path) => path.replaceAll('{path}', '{*}').replaceAll(/\{[a-z0-9_]+\}/g, '{}');

await withServer(process.argv[2], {}, async (origin) => {
    const text = await descriptionOf(origin);
    const document = JSON.parse(text);

    for (const one of await lintFromString({ source: text, absoluteRef: 'openapi.json', config: await createConfig(rules) }))
        problems.push(`${one.severity}: ${one.ruleId}: ${one.message} (${one.location[0]?.pointer})`);

    // The metrics have a row for each route of the table.
    const metrics = await (await fetch(`${origin}/metrics`)).text();
    const routes = new Set([...metrics.matchAll(/^sandboxd_http_request_seconds_count\{route="([^"]+)"/gm)]
        .map(([, route]) => route).filter((route) => route.startsWith('/')));
    check(routes.size > 20, `only ${routes.size} routes in /metrics`);
    const described = new Map(Object.entries(document.paths).map(([path, item]) => [shape(path), item]));
    for (const route of routes) check(described.has(route), `${route} is not described`);
    for (const path of described.keys()) check(routes.has(path), `${path} is described, but there is no such route`);

    for (const [path, item] of described) {
        if (path.startsWith('/faas/{}') || path.startsWith('/proxy/{}')) continue;  // the program answers OPTIONS
        const allow = (await fetch(origin + path.replaceAll('{}', 'x'), { method: 'OPTIONS' })).headers.get('allow');
        const has = allow.toLowerCase().split(', ').filter((method) => !['head', 'options'].includes(method)).sort();
        check(String(has) === String(Object.keys(item).sort()), `${path} takes ${has}, described: ${Object.keys(item)}`);
    }

    // The numbers are this server's.
    const compile = document.paths['/compile'].post.requestBody.content['application/json'].schema.properties;
    const execute = document.paths['/execute'].post.requestBody.content['application/json'].schema.properties;
    const sandbox = document.paths['/sandbox'].post.requestBody.content['application/json'].schema.properties;
    check(compile.files.maxItems === 64, `compile.maxFiles: ${compile.files.maxItems}`);
    check(execute.fuel.maximum === 20_000_000_000 && execute.fuel.default === 440_000_000, 'js.maxFuel, js.fuel');
    check(sandbox.timeout_ms.maximum === 300_000 && sandbox.timeout_ms.default === 30_000, 'sandboxes.maxTimeoutMs');
    check(document['x-limits']['http.maxBodyBytes'] === 4_194_304, 'http.maxBodyBytes');
    check(Object.keys(document['x-limits']).length >= 35, 'a key of x-limits is not in the configuration');
    check(document['x-error-codes'].queue_full.status === 503, 'x-error-codes');

    // It is the same document every time, and a client need not fetch it twice.
    const first = await fetch(`${origin}/openapi.json`);
    const etag = first.headers.get('etag');
    const again = await fetch(`${origin}/openapi.json`, { headers: { 'If-None-Match': etag } });
    check(await first.text() === text && again.status === 304, `If-None-Match: ${again.status}`);
    console.log(`${described.size} paths, ${text.length} bytes`);
});

for (const one of problems) console.error(one);
if (problems.length > 0) process.exit(1);
