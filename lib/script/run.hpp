// The request and the answer of a script's run. All entries use them: a worker's frames, the command line, the
// services.
#pragma once

#include "script/module_name.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::script {

// Every limit ends the run in a status of its own, and nothing of the run survives it.
struct run_limits {
    // Executed WebAssembly instructions (engine/quickjs/meter.cpp); the same script burns the same fuel.
    // The default is about 100 ms of an interpreter loop.
    std::int64_t init_fuel{440'000'000};
    std::int64_t fuel{440'000'000};
    // Linear memory, of which the interpreter itself takes about 1.5 MiB; in steps of 64 KiB.
    std::uint64_t memory_bytes{52'428'800};
    // Both scripts together, including the time that their timers wait.
    std::chrono::microseconds wall{std::chrono::seconds{2}};
    // Of console data, plus console_record_bytes for each record, even an empty one. The rest is dropped and the
    // answer marked.
    std::uint32_t console_bytes{1 << 20};
    // Of the result as JSON; a longer one ends the run.
    std::uint32_t result_bytes{8 << 20};
};

// What a record costs in addition to its data: about its size in memory, and as a log entry.
inline constexpr std::uint32_t console_record_bytes{64};

struct source_module {
    std::string name;
    std::string source;
};

// Where a run goes on that waited for the calls of its tools (run_status::pending).
struct run_resumption {
    std::string image;          // what the answer had as `image`
    std::string results;        // JSON, `{"results": [{"id", "value" | "error"}…]}`: one for each call
    std::int64_t fuel_used{0};  // until then; counts towards the limits, as does the time
    std::chrono::microseconds wall{0};
};

struct run_request {
    // Runs first, in the same global scope; its value is dropped.
    std::optional<std::string> init_script;
    std::string script;
    // `script` is a module: its result is what it exports as `default`.
    bool is_module{false};
    // The modules for `import`, by `module_name`; `./` and `../` are resolved against the importing module's name.
    std::vector<source_module> modules;
    run_limits limits;
    // Return the console as values, for programs; otherwise as text, for people.
    bool console_values{false};
    // The image of an earlier run's sandbox to continue from; then `init_script` does not run.
    std::string image;
    // Answer with the sandbox's image, unless it is longer than this. 0: without.
    std::uint32_t image_bytes{0};
    // The names of the tools that the script sees as asynchronous functions, `orders.get` as `tools.orders.get`
    // (script/tool_names.hpp). A run that waits for them ends as `pending`; its image then goes on from there.
    std::vector<std::string> tools;
    std::uint32_t max_calls{0};  // that may be pending at once; another one is a rejected promise
    std::optional<run_resumption> resumed;
    // Fixes the clocks: where they begin, in milliseconds since 1970. They then move with the fuel that is burnt and
    // the time that timers skip, so that the same script sees the same times.
    std::optional<std::int64_t> clock_ms;
    // Fixes the numbers that Math.random and `crypto` give. They are then no secret.
    std::optional<std::int64_t> seed;
};

// The call of a tool that a script waits for.
struct tool_call {
    std::uint32_t id{0};    // counts from 1 in a run, over all its continuations
    std::string name;       // one of the request's tools
    std::string arguments;  // a JSON array
};
// What a call costs in addition to its arguments.
inline constexpr std::uint32_t tool_call_bytes{64};

enum class run_status : std::uint8_t {
    ok,
    runtime_error,  // an uncaught exception, a rejected promise, a result that JSON cannot carry
    never_settled,  // the result is a promise, and nothing is left that could settle it
    out_of_fuel,
    out_of_memory,
    timeout,
    output_limit,    // the result is too long
    stack_overflow,  // of the engine's native stack; a script's own recursion is an InternalError
    fault,           // the engine trapped: a bug in it, contained
    pending,         // nothing is left to do but to wait for the tools that the script has called
};
inline constexpr std::uint8_t run_status_count{10};

// "ok", "runtime_error", …: for metrics, logs and errors.
std::string_view name(run_status status) noexcept;

enum class run_stage : std::uint8_t { init, script };

enum class console_level : std::uint8_t { log, info, warn, error, debug, trace, assertion };
inline constexpr std::uint8_t console_level_count{7};

// "log", "info", "warn", "error", "debug", "trace", "assert".
std::string_view name(console_level level) noexcept;

struct console_entry {
    console_level level{console_level::log};
    std::int64_t unix_ms{0};
    std::string data;  // with console_values: a JSON array, one element for each argument; else empty
    std::string text;  // without: what Node.js would write, UTF-8, without the line's end
};

// What was thrown.
struct thrown_value {
    bool is_error{false};  // an Error object; else `message` is the value as a string
    std::string name;
    std::string message;
    std::string stack;
    // The first place in `stack` that is in a script: its name ("init", "script" or a module's), line and column, which
    // count from 1; line 0: there is none.
    std::string file;
    std::uint32_t line{0};
    std::uint32_t column{0};
    std::string json;  // the thrown value as JSON, unless it is an Error or JSON cannot hold it; otherwise empty

    // "TypeError: x is not a function"
    std::string text() const { return name.empty() ? message : message.empty() ? name : name + ": " + message; }
};

struct run_answer {
    run_status status{run_status::fault};
    run_stage stage{run_stage::script};
    std::string result{"null"};  // JSON; `undefined` is null
    bool is_undefined{false};
    thrown_value thrown;  // runtime_error only
    std::vector<console_entry> console;
    bool console_truncated{false};
    std::int64_t fuel_used{0};  // by both scripts
    std::uint64_t memory_bytes{0};
    std::chrono::microseconds wall{0};
    // With image_bytes, after ok and runtime_error of the script; with pending always, empty if it were longer.
    std::string image;
    std::string continuation;      // pending only; where the server keeps the image. Not the worker's to say
    std::vector<tool_call> calls;  // pending only; their arguments and tool_call_bytes each, within result_bytes
    // With clock_ms: how long the run took by its own clock.
    std::optional<std::chrono::microseconds> told_time;
};

// A sentence for people when the status is not ok: "Ran out of memory while evaluating the script".
std::string message_of(const run_answer& answer);

enum class run_place : std::uint8_t { server, command_line };

// The cure, to follow the message and a colon: how to raise the limit, by a member of a request to POST /execute or
// an argument of sandboxd-js. Empty if there is none.
std::string cure_of(const run_answer& answer, run_place place);

// Finds where in the scripts an error was thrown, from the engine's stack trace.
void locate(thrown_value& thrown);

// The console as text, one line per entry. `to_stderr` selects error and assert, otherwise the others.
std::string console_text(const run_answer& answer, bool to_stderr);

}  // namespace sandboxd::script
