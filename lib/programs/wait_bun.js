// Preloaded (`bun --preload`) into a Bun that has booted before its program is wanted: waits for the server's word
// (init/hold.hpp), then removes what shows that it waited, and Bun goes on with the program. The same as wait_node.cjs,
// with Bun's own clocks.
'use strict';
{
  const fs = require('fs');
  const { apply } = Reflect;
  const describe = Reflect.getOwnPropertyDescriptor;
  const define = Reflect.defineProperty;

  // Nanoseconds that the process waited. All of Bun's clocks but Date begin at its start.
  let waited = 0n;
  const milliseconds = () => Number(waited) / 1e6;

  function replace(of, name, call) {
    let holder = of;
    while (holder && !describe(holder, name)) holder = Reflect.getPrototypeOf(holder);
    if (!holder) return;
    const property = describe(holder, name);
    const original = property.get || property.value;
    if (typeof original !== 'function') return;
    // A bound function prints as the original does; a getter needs the object that it is called for.
    let made;
    if (property.get) {
      made = new Proxy(original, { __proto__: null, apply: (target, self, given) => call(target, self, given) });
    } else {
      made = { [name](...given) { return call(original, of, given); } }[name].bind(undefined);
      for (const key of Reflect.ownKeys(original)) define(made, key, describe(original, key));
    }
    if (property.configurable) define(holder, name, property.get ? { ...property, get: made } : { ...property, value: made });
    else if (property.writable) holder[name] = made;
  }

  const earlier = (original, self, given) => {
    const told = apply(original, self, given);
    return typeof told === 'number' && told >= milliseconds() ? told - milliseconds() : told;
  };
  const moved = (value) => (typeof value === 'number' ? value + milliseconds() : value);

  function adjust_clocks() {
    replace(performance, 'now', earlier);
    replace(performance, 'timeOrigin', (original, self, given) => apply(original, self, given) + milliseconds());
    replace(PerformanceEntry.prototype, 'startTime', earlier);
    replace(Event.prototype, 'timeStamp', earlier);
    replace(performance, 'mark', (original, self, given) => {
      const how = given[1];
      if (how && how.startTime !== undefined) given[1] = { ...how, startTime: moved(how.startTime) };
      return apply(original, self, given);
    });
    replace(performance, 'measure', (original, self, given) => {
      const [name, from, to] = given;
      if (from !== null && typeof from === 'object') {
        const how = { ...from, start: moved(from.start), end: moved(from.end) };
        if (how.start === undefined && how.duration === undefined) how.start = milliseconds();
        for (const key of ['start', 'end']) if (how[key] === undefined) delete how[key];
        given[1] = how;
      } else if (from === undefined && given.length > 0) {
        const start = milliseconds();
        return apply(original, self, [name, to === undefined ? { start } : { start, end: moved(to) }]);
      } else if (given.length > 0) {
        given[1] = moved(from);
        if (to !== undefined) given[2] = moved(to);
      }
      return apply(original, self, given);
    });
    replace(process, 'uptime', (original, self, given) => apply(original, self, given) - milliseconds() / 1e3);
    replace(Bun, 'nanoseconds', (original, self, given) => apply(original, self, given) - Number(waited));
    const { hrtime } = process;
    const { bigint } = hrtime;
    replace(hrtime, 'bigint', (original, self, given) => apply(original, self, given) - waited);
    replace(process, 'hrtime', (original, self, given) => {
      if (given.length > 0 && given[0] !== undefined) {
        // Checks its argument.
        apply(original, self, given);
        const [seconds, nanoseconds] = given[0];
        const since = bigint() - waited - (BigInt(seconds) * 1000000000n + BigInt(nanoseconds));
        return [Number(since / 1000000000n), Number(since % 1000000000n)];
      }
      const now = bigint() - waited;
      return [Number(now / 1000000000n), Number(now % 1000000000n)];
    });
  }

  function forget() {
    const options = process.execArgv;
    const at = options.indexOf(__filename);
    if (at > 0) options.splice(at - 1, 2);
  }

  // Bun enters this module into its cache a few microtasks after it has run, and begins with the program after all of
  // them.
  async function leave_cache() {
    for (let turn = 0; turn < 64; ++turn) {
      await undefined;
      delete require.cache[__filename];
    }
  }

  const begin_fd = 8;
  const stdin_fd = 9;
  const could_not_start = 127;
  adjust_clocks();
  forget();
  const clock = process.hrtime.bigint;
  const word = Buffer.alloc(1);
  const read = () => (fs.readSync(begin_fd, word, 0, 1, null) === 1 ? word.latin1Slice(0, 1) : '');
  let told = read();
  // The byte before the wait tells the server, when it is read, that nothing is left to do until the word comes.
  const began = clock();
  if (told === 'w') told = read();
  waited = clock() - began;
  // The upper case has the value of a variable behind it, which came together with it.
  if (told === 'B' || told === 'F') {
    const value = Buffer.alloc(55);
    if (fs.readSync(begin_fd, value, 0, 55, null) !== 55) process.exit(could_not_start);
    process.env.TRACEPARENT = value.latin1Slice(0, 55);
    told = told.toLowerCase();
  }
  if (told !== 'b' && told !== 'f' && told !== 'n') process.exit(could_not_start);
  fs.closeSync(begin_fd);
  if (told === 'f') {
    fs.closeSync(0);
    if (fs.openSync(`/proc/self/fd/${stdin_fd}`, 'r') !== 0) process.exit(could_not_start);
  }
  // A deployment's program has no such file.
  if (told !== 'n') fs.closeSync(stdin_fd);
  leave_cache();
}
