// Preloaded (`node -r`) into a Node.js that has booted before its program is wanted: waits for the server's word
// (init/hold.hpp), then goes to the program's directory, removes what shows that it waited, and Node.js goes on with the
// program. No byte of a client's is read before. Worker threads preload it again: there is nothing to wait for then.
'use strict';
{
  const fs = require('fs');
  const threads = require('worker_threads');
  const { Module } = module.constructor;
  const { apply, construct } = Reflect;
  const describe = Reflect.getOwnPropertyDescriptor;
  const define = Reflect.defineProperty;

  // Milliseconds that the process waited. Its clocks begin at its start; what a program reads of them goes without.
  let waited = 0;

  // The object of the prototype chain that has the property; null if there is none.
  function owner(of, name) {
    while (of && !describe(of, name)) of = Reflect.getPrototypeOf(of);
    return of;
  }

  // Replaces a method, the getter of a property or its value with `call(original, this, arguments)`; the new function
  // has the name, the length and the properties of the old one.
  function replace(of, name, call) {
    const holder = owner(of, name);
    if (!holder) return;
    const property = describe(holder, name);
    const original = property.get || property.value;
    if (typeof original !== 'function') {
      if (property.configurable) define(holder, name, { ...property, value: call(() => original, of, []) });
      return;
    }
    const made = new Proxy(original, { __proto__: null, apply: (target, self, given) => call(target, self, given) });
    if (property.configurable) define(holder, name, property.get ? { ...property, get: made } : { ...property, value: made });
    else if (property.writable) holder[name] = made;
  }

  const later = (original, self, given) => apply(original, self, given) + waited;
  const earlier = (original, self, given) => {
    const told = apply(original, self, given);
    return typeof told === 'number' && told >= waited ? told - waited : told;
  };
  const moved = (value) => (typeof value === 'number' ? value + waited : value);

  function adjust_clocks() {
    const { performance, PerformanceEntry, PerformanceMark } = require('perf_hooks');
    replace(performance, 'now', earlier);
    replace(performance, 'timeOrigin', later);
    for (const name of ['bootstrapComplete', 'duration', 'loopStart', 'loopExit']) replace(performance.nodeTiming, name, earlier);
    if (PerformanceEntry) replace(PerformanceEntry.prototype, 'startTime', earlier);
    if (typeof Event === 'function') replace(Event.prototype, 'timeStamp', earlier);
    const mark_options = (of) => (of && of.startTime !== undefined ? { ...of, startTime: moved(of.startTime) } : of);
    replace(performance, 'mark', (original, self, given) => {
      if (given.length > 1) given[1] = mark_options(given[1]);
      return apply(original, self, given);
    });
    // https://w3c.github.io/user-timing/#dom-performance-measure: without a beginning a measure begins at the origin.
    replace(performance, 'measure', (original, self, given) => {
      const [name, from, to] = given;
      if (from !== null && typeof from === 'object') {
        const how = { ...from, start: moved(from.start), end: moved(from.end) };
        if (how.start === undefined && how.duration === undefined) how.start = waited;
        for (const key of ['start', 'end']) if (how[key] === undefined) delete how[key];
        given[1] = how;
      } else if (from === undefined && given.length > 0) {
        return apply(original, self, [name, to === undefined ? { start: waited } : { start: waited, end: moved(to) }]);
      } else if (given.length > 0) {
        given[1] = moved(from);
        if (to !== undefined) given[2] = moved(to);
      }
      return apply(original, self, given);
    });
    if (PerformanceMark) {
      const made = new Proxy(PerformanceMark, {
        __proto__: null,
        construct: (target, given, as) => {
          if (given.length > 1) given[1] = mark_options(given[1]);
          return construct(target, given, as);
        },
      });
      define(PerformanceMark.prototype, 'constructor', { ...describe(PerformanceMark.prototype, 'constructor'), value: made });
      for (const holder of [globalThis, require('perf_hooks')])
        if (holder.PerformanceMark === PerformanceMark) holder.PerformanceMark = made;
    }
    adjust_uptime();
  }

  function adjust_uptime() {
    replace(process, 'uptime', (original, self, given) => apply(original, self, given) - waited / 1e3);
  }

  function forget() {
    const options = process.execArgv;
    const at = options.indexOf(__filename);
    if (at > 0) options.splice(at - 1, 2);
    replace(process, '_preload_modules', () => []);
    delete require.cache[__filename];
    for (const key of Object.keys(Module._pathCache))
      if (Module._pathCache[key] === __filename) delete Module._pathCache[key];
  }

  if (!threads.isMainThread) {
    waited = threads.getEnvironmentData(__filename) || 0;
    // Some versions give a thread clocks of its own, which begin with it.
    if (process.uptime() * 1e3 - require('perf_hooks').performance.now() < waited) adjust_clocks();
    else adjust_uptime();
    forget();
  } else {
    const begin_fd = 8;
    const stdin_fd = 9;
    const could_not_start = 127;
    adjust_clocks();
    forget();
    // Overwrites the command line, as the kernel shows it.
    process.title = `${process.title}`;
    const clock = process.hrtime;
    const word = Buffer.alloc(1);
    const read = () => (fs.readSync(begin_fd, word, 0, 1, null) === 1 ? word.latin1Slice(0, 1) : '');
    let told = read();
    // The byte before the wait tells the server, when it is read, that nothing is left to do until the word comes.
    const began = clock();
    if (told === 'w') told = read();
    const [seconds, nanoseconds] = clock(began);
    waited = seconds * 1e3 + nanoseconds / 1e6;
    // The upper case has the value of a variable behind it, which came together with it.
    if (told === 'B' || told === 'F') {
      const value = Buffer.alloc(55);
      if (fs.readSync(begin_fd, value, 0, 55, null) !== 55) process.reallyExit(could_not_start);
      process.env.TRACEPARENT = value.latin1Slice(0, 55);
      told = told.toLowerCase();
    }
    if (told !== 'b' && told !== 'f' && told !== 'n') process.reallyExit(could_not_start);
    process.chdir(told === 'n' ? '/srv/app' : '/tmp');
    // Some jails set it to where the process begins.
    if (process.env.PWD !== undefined) process.env.PWD = process.cwd();
    threads.setEnvironmentData(__filename, waited);
    fs.closeSync(begin_fd);
    if (told === 'f') {
      fs.closeSync(0);
      if (fs.openSync(`/proc/self/fd/${stdin_fd}`, 'r') !== 0) process.reallyExit(could_not_start);
    }
    // A deployment's program has no such file.
    if (told !== 'n') fs.closeSync(stdin_fd);
  }
}
