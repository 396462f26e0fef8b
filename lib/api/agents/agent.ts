// Uses sandboxd's tools as an agent does, with the official client: node agent.ts http://localhost:8080
// Node.js before 22.18 needs --experimental-strip-types.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

type Execution = { stdout: string; exit_code: number };

const client = new Client({ name: 'agent', version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } });
await client.connect(new StreamableHTTPClientTransport(new URL('/mcp', process.argv[2])));

const { tools } = await client.listTools();
console.log(tools.map((tool) => tool.name));

const run = await client.callTool(
    { name: 'run_program', arguments: { runtime: 'typescript', code: 'console.log(6 * 7 as number)' } },
    { onprogress: ({ progress, message }) => console.error(progress, message) });
const { stdout, exit_code } = run.structuredContent as Execution;
console.log(stdout.trim(), exit_code);
await client.close();
