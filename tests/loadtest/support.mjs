// Starts deploy/loadtest and the servers that it is tried on.
import {spawn} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import net from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

export const command = fileURLToPath(new URL('../../deploy/loadtest', import.meta.url));

// A directory that goes with the test.
export function directoryFor(test) {
  const path = mkdtempSync(join(tmpdir(), 'sandboxd-loadtest-'));
  test.after(() => rmSync(path, {recursive: true, force: true}));
  return path;
}

// Runs deploy/loadtest with a mix. Returns {code, out, errors, result}: result is its JSON, if it wrote one.
export async function loadtest(test, mix, url, {words = [], onStart = () => {}} = {}) {
  const file = join(directoryFor(test), 'mix.json');
  writeFileSync(file, typeof mix === 'string' ? mix : JSON.stringify(mix));
  const child = spawn(command, ['--json', '-', ...words, file, url], {stdio: ['ignore', 'pipe', 'pipe']});
  const text = {out: '', errors: ''};
  child.stdout.on('data', (piece) => (text.out += piece));
  child.stderr.on('data', (piece) => (text.errors += piece));
  onStart(child);
  const code = await new Promise((resolve) => child.on('close', (exit) => resolve(exit)));
  return {code, ...text, result: text.out.startsWith('{') ? JSON.parse(text.out) : undefined};
}

// A server for one test: HANDLE(SOCKET, REQUEST, NUMBER) is called for each whole request. It speaks HTTP by hand, so that
// it can break off where a test wants it to. Answers by itself to what deploy/loadtest asks before the test.
export async function standIn(test, handle, makeServer = (listener) => net.createServer(listener)) {
  const state = {requests: 0, headers: []};
  const sockets = new Set();
  const server = makeServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    let held = '';
    socket.on('data', (piece) => {
      held += piece.toString('latin1');
      for (let end; (end = held.indexOf('\r\n\r\n')) >= 0;) {
        const header = held.slice(0, end);
        const bytes = end + 4 + Number(/content-length: (\d+)/i.exec(header)?.[1] ?? 0);
        if (held.length < bytes) return;
        held = held.slice(bytes);
        if (header.startsWith('GET /livez ')) {
          socket.write(answer(200, 'ok'));
        } else {
          state.headers.push(header);
          handle(socket, header, ++state.requests);
        }
      }
    });
  });
  test.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  state.port = server.address().port;
  state.url = `http://127.0.0.1:${state.port}`;
  return state;
}

export function answer(status, body, fields = '') {
  return `HTTP/1.1 ${status} x\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${fields}\r\n${body}`;
}

export const ok = answer(200, '{"status":"OK","result":1}');
