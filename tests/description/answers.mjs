// Compares the answers that the integration tests have got with the API's description. An answer that it does not
// describe fails: a status, a type, a member or a code that is not there. Usage: node answers.mjs SANDBOXD DIRECTORY

import Ajv2020 from 'ajv/dist/2020.js';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { withServer } from '../support/server.mjs';
import { descriptionOf } from './support.mjs';

const [binary, directory] = process.argv.slice(2);
const answers = readdirSync(directory).filter((name) => name.endsWith('.jsonl'))
    .flatMap((name) => readFileSync(join(directory, name), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line)));
if (answers.length === 0) {
    console.log('skipped: no integration test that ran before has got an answer over HTTP');
    process.exit(77);
}

const document = JSON.parse(await withServer(binary, {}, descriptionOf));

// The document leaves objects open, so that members can be added later. Here each must be described.
function close(schema) {
    if (Array.isArray(schema)) return schema.map(close);
    if (schema === null || typeof schema !== 'object') return schema;
    const closed = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, close(value)]));
    if (schema.properties !== undefined && typeof schema.type !== 'object' && schema.additionalProperties === undefined)
        closed.additionalProperties = false;
    if (schema.properties !== undefined && Array.isArray(schema.type)) closed.additionalProperties = false;
    return closed;
}

const ajv = new Ajv2020({ strict: false, allErrors: true });
const validators = new Map();
function faultsOf(schema, value) {
    if (schema.$ref) schema = document.components.schemas[schema.$ref.replace('#/components/schemas/', '')];
    if (!validators.has(schema)) validators.set(schema, ajv.compile(close(schema)));
    const validate = validators.get(schema);
    if (validate(value)) return '';
    // Of several shapes: the one that is meant has the fewest faults.
    return validate.errors.map((one) => `${one.instancePath} ${one.message} ${JSON.stringify(one.params)}`).join('; ');
}

// Literal segments first, as the server does.
const paths = Object.entries(document.paths)
    .map(([path, item]) => ({
        path, item,
        pattern: new RegExp(`^${path.replaceAll(/[.]/g, '\\.').replaceAll('{path}', '.*').replaceAll(/\{[a-z0-9_]+\}/g, '[^/]+')}$`),
        literal: path.split('/').filter((segment) => !segment.startsWith('{')).length,
    }))
    .sort((a, b) => b.literal - a.literal);

const resolve = (response) =>
    response?.$ref ? document.components.responses[response.$ref.replace('#/components/responses/', '')] : response;
const refused = resolve({ $ref: '#/components/responses/refused' });

function eventsOf(media, body) {
    if (media === 'application/x-ndjson') return body.split('\n').filter(Boolean);
    return body.split('\n\n').map((event) => event.split('\n').filter((line) => line.startsWith('data: '))
        .map((line) => line.slice('data: '.length)).join('\n')).filter(Boolean);
}

const seen = new Set();

// What is wrong with an answer, or nothing.
function check(answer) {
    const what = compare(answer, false);
    // By another host's name, it may be one that the server does not answer to, or that of a deployment that is gone.
    return what && answer.status >= 400 ? compare(answer, true) && what : what;
}

function compare(answer, anyHost) {
    const target = answer.target.replace(/^https?:\/\/[^/]*/i, '');
    const path = target.replace(/[?#].*$/s, '');
    const there = paths.find((one) => one.pattern.test(path));
    const method = answer.method.toLowerCase();
    // RFC 9112 3.2.2: an absolute target has the host. All paths of a deployment's own host are its program's.
    const host = answer.target.match(/^https?:\/\/([^/]*)/i)?.[1] ?? answer.host;
    if (/^[0-9a-f-]{36}\./i.test(host)) return '';
    const isLocal = host === '' || /^(localhost|127\.0\.0\.1|\[::1\]|any)(:\d+)?$/i.test(host);
    let response = refused;
    let known = 'refused';
    if (there && (isLocal || !anyHost)) {
        if (method === 'options' && answer.status === 204) return answer.bytes === 0 ? '' : 'OPTIONS has a body';
        const operation = there.item[method === 'head' ? 'get' : method] ?? { responses: { default: Object.values(there.item)[0].responses.default } };
        response = resolve(operation.responses[answer.status] ?? operation.responses.default);
        known = `${method} ${there.path} ${operation.responses[answer.status] ? answer.status : 'default'}`;
    }
    seen.add(known);
    if (response === refused && answer.status < 400) return 'an answer that is not described';
    if (method === 'head') return answer.bytes === 0 ? '' : 'HEAD has a body';
    if (response.content?.['*/*'] && response.content['*/*'].schema === undefined) return '';
    if (answer.type === '') return answer.bytes === 0 && response.content === undefined ? '' : 'no Content-Type, or no body';
    const media = answer.type.replace(/;.*$/s, '').trim().toLowerCase();
    const content = response.content?.[media] ?? response.content?.['*/*'];
    if (!content) return `the type ${media} is not described`;
    if (answer.body === undefined || content.schema === undefined) return '';
    if (content['x-event']) {
        return eventsOf(media, answer.body).map((one) => faultsOf(content['x-event'], JSON.parse(one))).filter(Boolean).join('; ');
    }
    return faultsOf(content.schema, media.endsWith('json') ? JSON.parse(answer.body) : answer.body);
}

const problems = new Map();
for (const answer of answers) {
    let what;
    try {
        what = check(answer);
    } catch (error) {
        what = String(error);
    }
    if (!what) continue;
    const key = `${answer.method} ${answer.target.slice(0, 120)} (host ${answer.host}) → ${answer.status} ${answer.type}: ${what.slice(0, 1500)}`;
    if (!problems.has(key)) problems.set(key, answer);
}
console.log(`${answers.length} answers, ${seen.size} described ones seen`);
const most = 40;
for (const [what, answer] of [...problems].slice(0, most))
    console.error(`${what}\n    ${(answer.body ?? '').slice(0, 600)}\n    in ${answer.test}`);
if (problems.size > most) console.error(`and ${problems.size - most} more`);
if (problems.size > 0) process.exit(1);
