// Proves that nothing survives a reset: runs scripts that write a canary wherever a script can, and
// after every run compares the whole linear memory with the boot image, byte for byte, and looks
// for the canary in it; what a run had of memory beyond that must be with the kernel again.
//
//   js_reset_proof [RUNS]
#include "engine/interpreter.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace sandboxd;

constexpr std::string_view canary = "CaNaRy-in-the-mine";

const char* const scripts[] = {
    "globalThis.secret = '@'; Object.prototype.secret = '@'; Array.prototype.push('@'); secret",
    "let all = []; for (let i = 0; i < 3000; i++) all.push('@' + i); all.length",
    "new Uint8Array(3e6).fill(67); const t = new Uint8Array(100000); for (let i = 0; i < 18; i++) t[i] = '@'.charCodeAt(i); 1",
    "(function f(n) { const s = '@' + n; return n ? f(n - 1) + s.length : 0 })(1500)",
    "(function f(n) { const s = '@' + n; f(n + 1); return s })(0)",
    "console.log('@'); throw new Error('@')",
    "const a = []; for (;;) a.push('@' + a.length)",
    "for (let i = 0; ; i++) globalThis['@' + i] = i",
    "const r = /(@)+/.exec('@@@'); RegExp.prototype.x = r; new Map([['@', new Set(['@'])]]).size",
    "Promise.resolve('@').then(x => new Promise(() => x)); '@'",
    "Symbol.for('@'); new WeakMap([[{}, '@']]); class X { static '@' = 1 } '@'",
    "eval('var evaluated = \"@\"'); new Function('return \"@\"')(); JSON.parse('{\"@\": \"@\"}')",
    "'@'.repeat(100000).split('').reverse().join('').length",
    "new ArrayBuffer(1e9)",
    "1+2",
    "await (async () => { globalThis.x = '@'; for await (const y of ['@']) globalThis.y = y })()",
    "setTimeout((x) => { globalThis.late = x }, 5, '@'); new Promise((r) => setTimeout(r, 10))",
    "setInterval(() => console.log('@'), 5, '@')",
    "console.log({ a: ['@'], m: new Map([['@', 1]]) }); console.log('%s %o', '@', ['@']); console.table([{ '@': '@' }]);"
    "console.group('@'); console.count('@'); console.time('@')",
    "structuredClone({ '@': ['@'] }); new URL('http://h/@?@#@').searchParams.append('@', '@'); btoa('@');"
    "new TextDecoder().decode(new TextEncoder().encode('@'))",
    "const c = new AbortController(); c.signal.addEventListener('abort', () => { globalThis.why = '@' }); c.abort('@');"
    "globalThis['@'] = crypto.randomUUID() + '@'",
};

constexpr std::size_t page_bytes = 4'096;
constexpr std::size_t limit_bytes = 16 << 20;

// Pages of linear memory that exist outside of this part of it.
std::size_t pages_beside(std::string_view accessible)
{
    std::vector<unsigned char> resident(limit_bytes / page_bytes);
    const auto* const base = engine::machine::base();
    if (::mincore(const_cast<std::uint8_t*>(base), limit_bytes, resident.data()) != 0) return resident.size();
    const auto first = static_cast<std::size_t>(accessible.data() - reinterpret_cast<const char*>(base));
    const auto at = [&](std::size_t offset) {
        return resident.begin() + static_cast<std::ptrdiff_t>(offset / page_bytes);
    };
    const auto exists = [](unsigned char one) { return (one & 1) != 0; };
    return static_cast<std::size_t>(std::count_if(at(0), at(first), exists) +
                                    std::count_if(at(first + accessible.size()), resident.end(), exists));
}

std::string with_canary(std::string_view script)
{
    std::string made;
    for (const char one : script) {
        if (one == '@')
            made += canary;
        else
            made += one;
    }
    return made;
}

}  // namespace

int main(int argc, char** argv)
{
    const int runs = argc > 1 ? std::atoi(argv[1]) : 10'000;
    int failed = 0;
    engine::on_engine_stack([&] {
        engine::interpreter engine;
        const auto& machine = engine.inside();
        const std::string boot{machine.accessible()};
        std::string expected;
        for (int i = 0; i < runs && failed < 10; ++i) {
            script::run_request request;
            request.script = with_canary(scripts[static_cast<std::size_t>(i) % std::size(scripts)]);
            request.limits.fuel = 20'000'000;
            request.limits.memory_bytes = limit_bytes;
            request.image_bytes = i % 3 == 0 ? 64 << 20 : 0;
            const auto answer = engine.run(request);
            const auto now = machine.accessible();
            const bool same = now.size() == boot.size() && std::memcmp(now.data(), boot.data(), boot.size()) == 0;
            const bool clean = ::memmem(now.data(), now.size(), canary.data(), canary.size()) == nullptr;
            const auto pages = pages_beside(now);
            if (!same || !clean || pages > 0) {
                ++failed;
                std::fprintf(stderr, "run %d (%s) left something behind: %s%s, %zu pages\n", i, request.script.c_str(),
                             same ? "" : "memory differs ", clean ? "" : "canary found", pages);
            }
            if (answer.status == script::run_status::fault) {
                ++failed;
                std::fprintf(stderr, "run %d (%s) was a fault\n", i, request.script.c_str());
            }
            if (i % 100 == 0) {
                script::run_request probe;
                probe.script = "[typeof secret, ({}).secret, Object.getOwnPropertyNames(globalThis).length]";
                const auto seen = engine.run(probe).result;
                if (expected.empty()) expected = seen;
                if (seen != expected) {
                    ++failed;
                    std::fprintf(stderr, "run %d: a script sees %s, not %s\n", i, seen.c_str(), expected.c_str());
                }
            }
        }
        std::printf("%d runs, %zu bytes compared after each, %d failures\n", runs, boot.size(), failed);
    });
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
