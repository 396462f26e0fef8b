// HTTP/1.1 over kept connections, with as little work for each request as the measuring allows.
import net from 'node:net';
import tls from 'node:tls';

// Why a request has no answer, or not the one it should have: the rows of the result.
export const causes = ['refused', 'status', 'body', 'connection', 'timeout'];

export class Failure extends Error {
  constructor(cause, message) {
    super(message);
    this.cause = cause;
  }
}

const mostHeader = 64 * 1024;
const mostBody = 64 * 1024 * 1024;
// Less than servers and proxies keep an idle connection.
const mostIdleMs = 20_000;
const sweepMs = 50;

const end = Buffer.from('\r\n\r\n');
const none = Buffer.alloc(0);

// Reads answers from pieces of any size. push(PIECE) returns whether the answer is whole; then it is in status, fields and
// body, and rest has what came behind it. Throws Failure for what is no HTTP/1.1.
export class AnswerReader {
  constructor(method) {
    this.method = method;
    this.status = 0;
    this.fields = new Map();
    this.keepAlive = true;
    this.pieces = [];
    this.bytes = 0;
    this.rest = none;
    this.held = none;
    this.state = 'header';
    this.wanted = 0;
  }

  get body() {
    return this.pieces.length === 1 ? this.pieces[0] : Buffer.concat(this.pieces);
  }

  push(piece) {
    this.held = this.held.length === 0 ? piece : Buffer.concat([this.held, piece]);
    while (this.state !== 'whole' && this[this.state]());
    if (this.state !== 'whole') return false;
    this.rest = this.held;
    this.held = none;
    return true;
  }

  // The connection has ended: whether that makes the answer whole.
  close() {
    if (this.state !== 'untilClose') return false;
    this.state = 'whole';
    return true;
  }

  header() {
    const at = this.held.indexOf(end);
    if (at < 0) {
      if (this.held.length > mostHeader) throw new Failure('connection', 'the header of an answer has no end');
      return false;
    }
    const lines = this.held.toString('latin1', 0, at).split('\r\n');
    this.held = this.held.subarray(at + end.length);
    const first = /^HTTP\/1\.([01]) (\d{3})(?: |$)/.exec(lines[0]);
    if (!first) throw new Failure('connection', `no HTTP/1.1 answer: ${JSON.stringify(lines[0].slice(0, 60))}`);
    this.status = Number(first[2]);
    this.fields.clear();
    for (let i = 1; i < lines.length; ++i) {
      const colon = lines[i].indexOf(':');
      if (colon < 1) throw new Failure('connection', 'a field of an answer has no name');
      this.fields.set(lines[i].slice(0, colon).toLowerCase(), lines[i].slice(colon + 1).trim());
    }
    if (this.status < 200) return this.status !== 101 || this.upgraded();
    const connection = (this.fields.get('connection') ?? '').toLowerCase();
    this.keepAlive = first[1] === '1' ? !connection.includes('close') : connection.includes('keep-alive');
    // RFC 9112, section 6.3.
    if (this.method === 'HEAD' || this.status === 204 || this.status === 304) {
      this.state = 'whole';
    } else if ((this.fields.get('transfer-encoding') ?? '').toLowerCase().endsWith('chunked')) {
      this.state = 'chunkSize';
    } else if (this.fields.has('content-length')) {
      this.wanted = Number(this.fields.get('content-length'));
      if (!Number.isSafeInteger(this.wanted) || this.wanted < 0 || this.wanted > mostBody)
        throw new Failure('connection', 'the length of an answer is no number, or too large');
      this.state = this.wanted === 0 ? 'whole' : 'fixed';
    } else {
      this.keepAlive = false;
      this.state = 'untilClose';
    }
    return true;
  }

  upgraded() {
    throw new Failure('connection', 'an answer changes the protocol');
  }

  take(bytes) {
    this.bytes += bytes;
    if (this.bytes > mostBody) throw new Failure('connection', 'an answer is too large');
    if (bytes > 0) this.pieces.push(this.held.subarray(0, bytes));
    this.held = this.held.subarray(bytes);
  }

  takeWanted(next) {
    const bytes = Math.min(this.held.length, this.wanted);
    this.take(bytes);
    this.wanted -= bytes;
    if (this.wanted > 0) return false;
    this.state = next;
    return true;
  }

  fixed() {
    return this.takeWanted('whole');
  }

  untilClose() {
    this.take(this.held.length);
    return false;
  }

  line() {
    const at = this.held.indexOf('\r\n');
    if (at < 0) {
      if (this.held.length > mostHeader) throw new Failure('connection', 'a line of an answer has no end');
      return undefined;
    }
    const line = this.held.toString('latin1', 0, at);
    this.held = this.held.subarray(at + 2);
    return line;
  }

  chunkSize() {
    const line = this.line();
    if (line === undefined) return false;
    const size = /^([0-9a-fA-F]{1,8})[ \t]*(?:;|$)/.exec(line);
    if (!size) throw new Failure('connection', 'a chunk of an answer has no size');
    this.wanted = parseInt(size[1], 16);
    this.state = this.wanted === 0 ? 'trailer' : 'chunk';
    return true;
  }

  chunk() {
    return this.takeWanted('chunkEnd');
  }

  chunkEnd() {
    const line = this.line();
    if (line === undefined) return false;
    if (line !== '') throw new Failure('connection', 'a chunk of an answer is longer than its size');
    this.state = 'chunkSize';
    return true;
  }

  trailer() {
    const line = this.line();
    if (line === undefined) return false;
    if (line === '') this.state = 'whole';
    return true;
  }
}

// Connections to one server, at most maxConnections. A request takes one that is free, or makes one, or waits.
export class Client {
  constructor(url, {maxConnections, key, ca} = {}) {
    const base = new URL(url);
    this.prefix = base.pathname.replace(/\/+$/, '');
    this.secure = base.protocol === 'https:';
    // Without the brackets of an IPv6 address.
    const host = base.hostname.replace(/^\[(.*)\]$/, '$1');
    this.where = {host, port: Number(base.port || (this.secure ? 443 : 80)), noDelay: true};
    if (this.secure) {
      if (!net.isIP(host)) this.where.servername = host;
      if (ca) this.where.ca = [...tls.rootCertificates, ca];
    }
    this.fields = `Host: ${base.host}\r\nUser-Agent: sandboxd-loadtest\r\n`;
    if (key) this.fields += `Authorization: Bearer ${key}\r\n`;
    this.maxConnections = maxConnections ?? 64;
    this.free = [];
    this.waiting = [];
    this.open = new Set();
    this.counts = {opened: 0, most: 0, waited: 0};
    this.calls = new Set();
    this.sweeper = setInterval(() => this.sweep(), sweepMs);
    this.sweeper.unref();
  }

  // request(METHOD, PATH, VALUE, DEADLINE): a promise for {status, fields, body, sentAt}, or a Failure. VALUE is sent as
  // JSON. PATH is below the base URL. DEADLINE as performance.now(): all that is not over by then fails as a timeout.
  request(method, path, value, deadline) {
    let text = `${method} ${this.prefix}${path} HTTP/1.1\r\n${this.fields}`;
    if (value !== undefined) {
      const body = JSON.stringify(value);
      text += `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
    } else {
      text += method === 'POST' ? 'Content-Length: 0\r\n\r\n' : '\r\n';
    }
    return new Promise((resolve, reject) => {
      const call = {method, text, deadline, resolve, reject, connection: undefined, sentAt: 0, again: method !== 'POST'};
      this.calls.add(call);
      this.begin(call);
    });
  }

  begin(call) {
    const now = performance.now();
    while (this.free.length > 0) {
      const one = this.free.pop();
      if (now - one.idleSince < mostIdleMs) return this.send(one, call);
      one.socket.destroy();
    }
    if (this.open.size < this.maxConnections) return this.send(this.connect(), call);
    ++this.counts.waited;
    this.waiting.push(call);
  }

  connect() {
    const socket = this.secure ? tls.connect(this.where) : net.connect(this.where);
    const one = {socket, call: undefined, reader: undefined, used: false, idleSince: 0, error: undefined};
    this.open.add(one);
    ++this.counts.opened;
    this.counts.most = Math.max(this.counts.most, this.open.size);
    socket.on('data', (piece) => this.receive(one, piece));
    socket.on('error', (error) => (one.error = error));
    socket.on('end', () => this.ended(one));
    socket.on('close', () => this.closed(one));
    return one;
  }

  send(one, call) {
    one.call = call;
    one.reader = new AnswerReader(call.method);
    call.connection = one;
    call.reused = one.used;
    call.sentAt = performance.now();
    one.used = true;
    one.socket.write(call.text);
  }

  receive(one, piece) {
    // Nobody has asked: the server closes, or is no HTTP server.
    if (!one.call) return void one.socket.destroy();
    let whole;
    try {
      whole = one.reader.push(piece);
    } catch (failure) {
      this.fail(one.call, failure);
      one.socket.destroy();
      return;
    }
    if (whole) this.answered(one);
  }

  ended(one) {
    if (one.call && one.reader.close()) this.answered(one);
    one.socket.destroy();
  }

  answered(one) {
    const {call, reader} = one;
    one.call = undefined;
    this.calls.delete(call);
    if (reader.keepAlive && reader.rest.length === 0) {
      one.idleSince = performance.now();
      const next = this.waiting.shift();
      if (next) this.send(one, next);
      else this.free.push(one);
    } else {
      one.socket.destroy();
    }
    call.resolve({status: reader.status, fields: reader.fields, body: reader.body, sentAt: call.sentAt});
  }

  closed(one) {
    if (!this.open.delete(one)) return;
    const at = this.free.indexOf(one);
    if (at >= 0) this.free.splice(at, 1);
    const {call} = one;
    if (call) {
      one.call = undefined;
      // The server may close an idle connection while a request is on its way. Those that change nothing, or the same
      // again, may be sent again (RFC 9112, section 9.3.1); a POST never is.
      if (call.again && call.reused && one.reader.status === 0 && one.reader.held.length === 0) {
        call.again = false;
        this.begin(call);
      } else {
        this.fail(call, new Failure('connection', one.error?.message ?? 'the connection was closed before the answer'));
      }
    }
    const next = this.open.size < this.maxConnections ? this.waiting.shift() : undefined;
    if (next) this.send(this.connect(), next);
  }

  fail(call, failure) {
    if (!this.calls.delete(call)) return;
    if (call.connection?.call === call) call.connection.call = undefined;
    call.reject(failure);
  }

  sweep() {
    const now = performance.now();
    for (const call of this.calls) {
      if (call.deadline > now) continue;
      const {connection} = call;
      this.fail(call, new Failure('timeout', connection ? 'no answer in time' : 'no free connection in time'));
      if (connection) connection.socket.destroy();
      else this.waiting.splice(this.waiting.indexOf(call), 1);
    }
  }

  close() {
    clearInterval(this.sweeper);
    for (const one of this.open) one.socket.destroy();
  }
}
