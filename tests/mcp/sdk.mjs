// The official clients use every tool: of the first SDK, which begins with initialize, and of the second one in both
// revisions, over HTTP and through `sandboxd mcp`. They check each result against the tool's output schema. Usage: node sdk.mjs SANDBOXD

import assert from 'node:assert/strict';
import { Client as SecondClient, StreamableHTTPClientTransport as SecondTransport } from '@modelcontextprotocol/client';
import { Client as FirstClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as FirstTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { StdioClientTransport as FirstStdio } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StdioClientTransport as SecondStdio } from '@modelcontextprotocol/client/stdio';
import { withServer } from './support.mjs';

const who = { name: 'sandboxd-tests', version: '1.0.0' };
const endless = { name: 'run_program', arguments: { runtime: 'node', code: 'setInterval(() => {}, 1000)' } };

async function eventually(isTrue) {
    const until = Date.now() + 60_000;
    while (!(await isTrue())) {
        assert.ok(Date.now() < until, 'it never comes true');
        await new Promise((resolve) => setTimeout(resolve, 20));  // a pause between polls
    }
}

async function useTools(origin, client, call, version) {
    assert.equal(client.getServerVersion().name, 'sandboxd');
    if (client.getNegotiatedProtocolVersion) assert.equal(client.getNegotiatedProtocolVersion(), version);
    const { tools } = await client.listTools();
    assert.deepEqual(tools.map((one) => one.name),
                     ['compile', 'run_javascript', 'continue_javascript', 'run_program', 'deploy', 'logs', 'undeploy']);

    const script = await call({ name: 'run_javascript', arguments: { script: '({ a: 6 * 7 })' } });
    assert.deepEqual(script.structuredContent.result, { a: 42 });
    const waits = await call({ name: 'run_javascript', arguments: { script: 'await tools.add(1)', tools: ['add'] } });
    const { continuation, calls } = waits.structuredContent;
    const wentOn = await call({ name: 'continue_javascript',
                                arguments: { continuation, results: [{ id: calls[0].id, value: 'x' }] } });
    assert.equal(wentOn.structuredContent.result, 'x');
    const thrown = await call({ name: 'run_javascript', arguments: { script: 'null.x' } });
    assert.equal(thrown.isError, true);
    const compiled = await call({ name: 'compile', arguments: { code: 'int main(void) { return 0; }' } });
    assert.equal(compiled.isError, true);
    assert.equal(compiled.structuredContent.code, 'unavailable');

    const program = await call({ name: 'run_program', arguments: { runtime: 'typescript', code: 'console.log(42 as number)' } });
    assert.equal(program.structuredContent.stdout, '42\n');
    const code = "require('http').createServer((q, r) => r.end('hi')).listen(3000); console.log('up')";
    const deployed = await call({ name: 'deploy', arguments: { runtime: 'node', code } });
    const { url, deployment_id } = deployed.structuredContent;
    assert.equal(await (await fetch(url)).text(), 'hi');
    const told = await call({ name: 'logs', arguments: { deployment_id } });
    assert.match(JSON.stringify(told.structuredContent.lines), /up/);
    assert.equal((await call({ name: 'undeploy', arguments: { deployment_id } })).structuredContent.ok, true);

    // Progress, then the end by the client.
    const abort = new AbortController();
    const seen = [];
    const onprogress = (one) => {
        seen.push(one.progress);
        if (seen.length === 3) abort.abort('enough');
    };
    await assert.rejects(call(endless, { onprogress, signal: abort.signal }));
    assert.deepEqual(seen, [1, 2, 3]);
    await eventually(async () => (await (await fetch(`${origin}/sandboxes`)).json()).count === 0);
    await client.close();
}

await withServer(process.argv[2], async (origin) => {
    const url = new URL('/mcp', origin);
    const bridge = { command: process.argv[2], args: ['mcp', '--url', origin] };
    for (const transport of [new FirstTransport(url), new FirstStdio(bridge)]) {
        const first = new FirstClient(who);
        await first.connect(transport);
        await useTools(origin, first, (what, how) => first.callTool(what, undefined, how), '2025-11-25');
    }
    for (const [options, version] of [[{}, '2025-11-25'],
                                      [{ versionNegotiation: { mode: 'auto' } }, '2026-07-28']]) {
        for (const transport of [new SecondTransport(url), new SecondStdio(bridge)]) {
            const second = new SecondClient(who, options);
            await second.connect(transport);
            await useTools(origin, second, (what, how) => second.callTool(what, how), version);
        }
    }
});
