// Uses sandboxd's tools as an agent does, with the official client: node agent.ts http://localhost:8080
// Needs Node.js 22.6; before 22.18 with --experimental-strip-types.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

type Execution = { stdout: string; exit_code: number };

const [server = '', ...more] = process.argv.slice(2);
if (more.length > 0 || !/^https?:\/\//.test(server) || !URL.canParse(server)) {
    console.error('usage: node agent.ts URL, such as http://localhost:8080');
    process.exit(2);
}
const client = new Client({ name: 'agent', version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } });
await client.connect(new StreamableHTTPClientTransport(new URL('/mcp', server)));

const { tools } = await client.listTools();
console.log(tools.map((tool) => tool.name));

const run = await client.callTool(
    { name: 'run_program', arguments: { runtime: 'node', code: 'console.log(6 * 7)' } },
    { onprogress: ({ progress, message }) => console.error(progress, message) });
if (run.isError) throw new Error(JSON.stringify(run.content));
const { stdout, exit_code } = run.structuredContent as Execution;
console.log(stdout.trim(), exit_code);
await client.close();
