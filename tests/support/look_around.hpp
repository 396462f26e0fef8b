// Scripts with which a program looks at the process that it runs in: nothing there may tell that its runtime has
// waited.
#pragma once

#include <string>

namespace sandboxd::test {

// What a program sees of the process that it runs in, without clocks.
inline const std::string look_around = R"js(
const fs = require('fs');
const seen = {
  argv: process.argv, execArgv: process.execArgv, argv0: process.argv0, title: process.title,
  env: process.env, cwd: process.cwd(), cache: Object.keys(require.cache),
  descriptors: fs.readdirSync('/proc/self/fd').filter((fd) => fs.existsSync(`/proc/self/fd/${fd}`)).map((fd) => fs
    .readlinkSync(`/proc/self/fd/${fd}`)).filter((to) => !/^(anon_inode|\/proc|pipe|socket)/.test(to)),
  open: fs.readdirSync('/proc/self/fd').length,
  main: require.main === module, parent: module.parent ?? null, children: module.children.length,
  globals: Object.getOwnPropertyNames(globalThis).sort(), process: Object.getOwnPropertyNames(process).sort(),
  preloaded: process._preload_modules ?? null, paths: Object.keys(require('module')._pathCache ?? {}),
  stdin: fs.readFileSync(0, 'utf8'),
  names: [performance.now, performance.mark, process.uptime].map((f) => [f.name, f.length]),
};
)js";

inline const std::string look_at_clocks = R"js(
seen.clocks = {
  now: performance.now(), uptime: process.uptime() * 1000,
  drift: performance.timeOrigin + performance.now() - Date.now(), mark: performance.mark('m').startTime,
  measured: performance.measure('x', {start: performance.now()}).duration,
  whole: performance.measure('y').duration, begin: performance.measure('y').startTime,
  given: performance.mark('n', {startTime: 5}).startTime,
  hrtime: typeof Bun === 'undefined' ? 0 : Number(process.hrtime.bigint()) / 1e6,
  since: process.hrtime(process.hrtime())[0],
};
)js";

}  // namespace sandboxd::test
