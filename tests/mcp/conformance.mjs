// The conformance suite's server scenarios, in both revisions. Each scenario that a revision requires is in the table:
// it passes, or it says why it cannot apply. Usage: node conformance.mjs SANDBOXD

import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withServer } from './support.mjs';

const own_tool = 'calls a diagnostic tool of the suite, which the server does not have';
const prompts = 'the server offers no prompts';
const diagnostic_resource = 'reads a diagnostic resource of the suite, which the server does not have';
const asks_nothing = 'the server asks its client nothing';

const why_not = {
    'completion-complete': 'the server completes no arguments',
    'logging-set-level': 'the server sends no log messages (deprecated in 2026-07-28)',
    'tools-call-simple-text': own_tool,
    'tools-call-image': own_tool,
    'tools-call-audio': own_tool,
    'tools-call-embedded-resource': own_tool,
    'tools-call-mixed-content': own_tool,
    'tools-call-with-logging': own_tool,
    'tools-call-error': own_tool,
    'tools-call-with-progress': own_tool,
    'tools-call-sampling': asks_nothing,
    'tools-call-elicitation': asks_nothing,
    'elicitation-sep1034-defaults': asks_nothing,
    'elicitation-sep1330-enums': asks_nothing,
    'resources-read-text': diagnostic_resource,
    'resources-read-binary': diagnostic_resource,
    'resources-templates-read': diagnostic_resource,
    'resources-subscribe': 'artifacts never change, so nobody can subscribe to them',
    'resources-unsubscribe': 'artifacts never change, so nobody can subscribe to them',
    'prompts-list': prompts,
    'prompts-get-simple': prompts,
    'prompts-get-with-args': prompts,
    'prompts-get-embedded-resource': prompts,
    'prompts-get-with-image': prompts,
    'input-required-result-basic-elicitation': asks_nothing,
    'input-required-result-basic-sampling': asks_nothing,
    'input-required-result-basic-list-roots': asks_nothing,
    'input-required-result-request-state': asks_nothing,
    'input-required-result-multiple-input-requests': asks_nothing,
    'input-required-result-multi-round': asks_nothing,
    'input-required-result-missing-input-response': asks_nothing,
    'input-required-result-non-tool-request': asks_nothing,
    'input-required-result-result-type': asks_nothing,
    'input-required-result-tampered-state': asks_nothing,
    'input-required-result-capability-check': asks_nothing,
    'input-required-result-ignore-extra-params': asks_nothing,
    'input-required-result-validate-input': asks_nothing,
};

// Single checks of scenarios that apply otherwise.
const why_not_this = {
    'sep-2575-server-rejects-undeclared-capability': asks_nothing,
    'sep-2575-missing-capability-http-400': asks_nothing,
    'sep-2575-http-server-no-independent-requests-on-stream': own_tool,
    'sep-2575-server-no-log-without-loglevel': own_tool,
    'sep-2549-prompts-list-caching-hints': prompts,
};

// The suite counts this one as pending, but it is about what the server does.
const more = { '2026-07-28': ['http-header-validation'], '2025-11-25': [] };

const suite = join('node_modules', '@modelcontextprotocol', 'conformance');

function requiredOf(revision) {
    const text = readFileSync(join(suite, 'requirements', `${revision}.yaml`), 'utf8');
    const [, list] = text.match(/^server:\n((?:  - .*\n)+)/m);
    return list.split('\n').filter(Boolean).map((line) => line.replace(/^ *- */, ''));
}

async function checksOf(url, scenario, revision) {
    const directory = mkdtempSync(join(tmpdir(), 'sandboxd-conformance-'));
    try {
        const run = spawn(process.execPath, [join(suite, 'dist', 'index.js'), 'server', '--url', url, '--scenario', scenario,
                                             '--spec-version', revision, '--output-dir', directory], { stdio: 'ignore' });
        await new Promise((resolve) => run.on('exit', resolve));
        return readdirSync(directory, { recursive: true }).filter((name) => name.endsWith('checks.json'))
            .flatMap((name) => JSON.parse(readFileSync(join(directory, name), 'utf8')));
    } finally {
        rmSync(directory, { recursive: true, force: true });
    }
}

let failed = 0;
await withServer(process.argv[2], async (origin) => {
    for (const revision of ['2026-07-28', '2025-11-25']) {
        for (const scenario of [...requiredOf(revision), ...more[revision]]) {
            if (why_not[scenario]) {
                console.log(`${revision} ${scenario}: left out: ${why_not[scenario]}`);
                continue;
            }
            const checks = await checksOf(`${origin}/mcp`, scenario, revision);
            const wrong = checks.filter((one) => one.status === 'FAILURE' && !why_not_this[one.id]);
            const passed = checks.filter((one) => one.status === 'SUCCESS').length;
            for (const one of wrong) console.log(`${revision} ${scenario}: FAILED ${one.id}: ${one.errorMessage}`);
            console.log(`${revision} ${scenario}: ${passed} passed`);
            if (wrong.length > 0 || passed === 0) ++failed;
        }
    }
});
process.exit(failed > 0 ? 1 : 0);
