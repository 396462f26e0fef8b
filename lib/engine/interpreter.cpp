// One run of a script, in the order in which it happens: what generated code may ask of the host, booting, evaluating,
// and turning what came of it into an answer. Memory, traps and limits are machine.cpp's.
#include "engine/interpreter.hpp"

#include "base/utf8.hpp"
#include "engine/boot_script.hpp"
#include "script/json_text.hpp"

#include <sys/random.h>
#include <sys/time.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <map>
#include <stdexcept>
#include <utility>

namespace sandboxd::engine {

namespace {

// quickjs.h: with NaN boxing the upper half of a value is its tag.
constexpr std::int32_t tag_first = -9;
constexpr std::int32_t tag_symbol = -8;
constexpr std::int32_t tag_string = -7;
constexpr std::int32_t tag_string_rope = -6;
constexpr std::int32_t tag_object = -1;
constexpr std::int32_t tag_int = 0;
constexpr std::int32_t tag_bool = 1;
constexpr std::int32_t tag_null = 2;
constexpr std::int32_t tag_undefined = 3;
constexpr std::int32_t tag_short_big_int = 7;
constexpr std::int32_t tag_exception = 6;
constexpr std::int32_t tag_float64 = 8;

constexpr std::int32_t tag_of(std::uint64_t value)
{
    const auto tag = static_cast<std::int32_t>(value >> 32);
    const bool boxed =
        static_cast<std::uint32_t>(tag - tag_first) < static_cast<std::uint32_t>(tag_float64 - tag_first);
    return boxed ? tag : tag_float64;
}
constexpr std::uint64_t make_value(std::int32_t tag, std::uint32_t payload)
{
    return (std::uint64_t{static_cast<std::uint32_t>(tag)} << 32) | payload;
}
constexpr std::uint64_t undefined = make_value(tag_undefined, 0);

bool is_exception(std::uint64_t value) { return tag_of(value) == tag_exception; }
bool is_text(std::uint64_t value) { return tag_of(value) == tag_string || tag_of(value) == tag_string_rope; }

// quickjs.h: JS_EVAL_….
constexpr std::uint32_t eval_global = 0;
constexpr std::uint32_t eval_module = 1;
constexpr std::uint32_t eval_compile_only = 1 << 5;
constexpr std::uint32_t eval_async = 1 << 7;

// quickjs.h: JSPromiseStateEnum.
constexpr std::uint32_t promise_pending = 0;
constexpr std::uint32_t promise_rejected = 2;

// Of the 1 MiB that the module has; the rest is for what QuickJS does not count.
constexpr std::uint32_t script_stack_bytes = 512 << 10;
// Spare heap in the boot image, so that a small script need not grow the memory.
constexpr std::uint32_t spare_heap_bytes = 48 << 10;

// While the boot image is made the clock stands still at this moment (in seconds), so that every
// worker's image is the same, and with it what a script's fuel depends on.
constexpr std::int64_t boot_seconds = 1'700'000'000;
constexpr std::int64_t boot_budget = 4'000'000'000;

// Texts of exceptions are cut: a script may throw a string of any length.
constexpr std::uint32_t thrown_text_bytes = 64 << 10;

constexpr std::string_view sink_name = "console";
constexpr std::string_view inside_name = "inside";

// What boot.js asks; its `ask` has the same numbers.
enum class question : std::uint32_t {
    proxy_target,   // of a proxy; null when it is revoked, undefined when it is none
    class_name,     // the engine's, which a script cannot change
    promise_state,  // 0 pending, 1 fulfilled, 2 rejected
    promise_result,
    load,           // a file of the library, by its place
    fill_random,    // a Uint8Array, from the kernel
    timer_now,      // milliseconds since the run began, see timer_ns
    timer_advance,  // to such a moment
    wants_values,   // script::run_request::console_values
    // Of an iterator of a Map or Set: iterator_state_of; what it goes over, undefined at its end; where it is.
    iterator_state,
    iterator_source,
    iterator_key,
    tool_call,  // the tool's place and the arguments as JSON: the call's number, undefined when there is no room
};

// Does a little of what most scripts do.
constexpr const char* usual_script = R"js(
class Box { constructor(value) { this.value = value } get twice() { return [this.value, this.value] } }
const all = new Map([['one', 1], ['two', 2.5]]);
for (const [name, value] of all) all.set(name, new Box({ name, value, text: `${name}: ${value}`.replace(/o/g, '0') }));
try { null.property } catch (error) { all.set('error', error.message) }
console.log('text %d', 1, [...all.values()].map((one) => one.twice), JSON.parse(JSON.stringify({ a: [true, null] })));
await Promise.all([1, 2].map(async (n) => { await null; return (function sum(k) { return k ? k + sum(k - 1) : 0 })(n) }));
[Math.max(...[3, 1, 2].sort()), Date.now(), Math.random(), new Uint8Array(8).fill(1).length]
)js";

// Between two looks at the clock, a script's time is its fuel: slower than any machine burns it, so that no timer comes
// early by the clock.
constexpr std::int64_t fuel_per_timer_ms = 10'000'000;

// quickjs.h: JS_WRITE_OBJ_…, JS_READ_OBJ_….
constexpr std::uint32_t write_bytecode = 1 << 0;
constexpr std::uint32_t write_strip_source = 1 << 4;
constexpr std::uint32_t read_bytecode_flag = 1 << 0;

// The library compiled, for every run.
std::array<std::string, library_files.size()> bytecode_of_library;

// An iterator of a Map or Set in linear memory, quickjs.c: JSMapIteratorData and JSMapRecord. Where an object points to
// the first is looked for at boot (find_iterator_data); the engine is pinned by its hash.
namespace iterator_layout {
constexpr std::uint32_t kind_at = 8;  // keys, values, entries
constexpr std::uint32_t record_at = 12;
constexpr std::uint32_t data_bytes = 16;
constexpr std::uint32_t record_is_removed_at = 4;
constexpr std::uint32_t record_key_at = 32;
constexpr std::uint32_t record_bytes = 48;
}  // namespace iterator_layout
constexpr std::uint32_t iterator_is_under_way = 4;
constexpr std::uint32_t iterator_is_unknown = 8;

// Of a promise that is rejected, and that nothing handles yet.
struct rejection {
    std::uint64_t order{0};
    std::uint64_t reason{0};
};

// What the host functions need; there is one interpreter.
struct under_way {
    const script::run_request* request{nullptr};
    script::run_answer* answer{nullptr};
    std::size_t console_room{0};
    std::int64_t fuel_of_stage{0};  // what the stage began with
    std::int64_t fuel_before{0};    // what earlier stages burnt
    std::int64_t jumped_ns{0};      // what timers would have waited
    std::int64_t seen_ns{0};        // the latest time that the script was told
    bool has_timers{false};
    bool lacks_library{false};  // a script needs it, and it is not compiled
    std::uint32_t context{0};
    std::uint32_t cell{0};
    std::uint32_t iterator_data_at{0};  // in an iterator's object
    timespec began{};
    bool booting{true};
    std::uint32_t last_call{0};
    std::size_t calls_room{0};       // bytes
    std::uint64_t random_stream{0};  // with a seed
    // By promise. Both values are held, so that the address of a promise remains its own.
    std::map<std::uint64_t, rejection> rejections;
    std::uint64_t last_rejection{0};
} current;

// splitmix64: https://prng.di.unimi.it/splitmix64.c
std::uint64_t next_of_stream(std::uint64_t& state)
{
    state += 0x9e37'79b9'7f4a'7c15;
    std::uint64_t made = state;
    made = (made ^ (made >> 30)) * 0xbf58'476d'1ce4'e5b9;
    made = (made ^ (made >> 27)) * 0x94d0'49bb'1331'11eb;
    return made ^ (made >> 31);
}

std::int64_t since(const timespec& began)
{
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - began.tv_sec) * 1'000'000'000 + (now.tv_nsec - began.tv_nsec);
}

std::int64_t unix_ns()
{
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

// When it is for timers, since the run began. Not what the clock says unless the script has looked at it: what a
// script does is not to depend on how fast the machine is.
std::int64_t timer_ns()
{
    const std::int64_t burnt = current.fuel_before + current.fuel_of_stage - *sandboxd_js_fuel();
    return std::max(burnt / (fuel_per_timer_ms / 1'000) * 1'000 + current.jumped_ns, current.seen_ns);
}

bool has_fixed_clock() { return current.request && current.request->clock_ms; }

void fill_from_stream(std::uint8_t* into, std::size_t size)
{
    while (size > 0) {
        const std::uint64_t made = next_of_stream(current.random_stream);
        const std::size_t count = std::min(size, sizeof made);
        std::memcpy(into, &made, count);
        into += count;
        size -= count;
    }
}

// What the clock of the run's scripts shows, since 1970.
std::int64_t clock_ns()
{
    if (has_fixed_clock()) {
        // Without a sign, because what a worker of before has kept of the time may be anything.
        const auto began = static_cast<std::uint64_t>(*current.request->clock_ms) * 1'000'000;
        return static_cast<std::int64_t>(began + static_cast<std::uint64_t>(timer_ns()));
    }
    return unix_ns() + current.jumped_ns;
}

void fill_random(void* into, std::size_t size)
{
    auto* at = static_cast<std::uint8_t*>(into);
    while (size > 0) {
        const ssize_t count = ::getrandom(at, size, 0);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw std::runtime_error{"getrandom failed"};
        at += count;
        size -= static_cast<std::size_t>(count);
    }
}

// Seeds of Math.random, fetched from the kernel in batches. A script can compute its own run's seed from the results
// of Math.random, and must learn nothing about another run's seed.
std::uint64_t fresh_seed()
{
    static std::array<std::uint64_t, 256> stock;
    static std::size_t left = 0;
    if (left == 0) {
        fill_random(stock.data(), sizeof stock);
        left = stock.size();
    }
    const std::uint64_t seed = std::exchange(stock[--left], 0);
    return seed == 0 ? 1 : seed;
}

script::run_status status_of(trap why)
{
    switch (why) {
        case trap::out_of_fuel: return script::run_status::out_of_fuel;
        case trap::memory_limit: return script::run_status::out_of_memory;
        case trap::deadline: return script::run_status::timeout;
        case trap::output_limit: return script::run_status::output_limit;
        case trap::native_stack: return script::run_status::stack_overflow;
        case trap::fault: return script::run_status::fault;
    }
    return script::run_status::fault;
}

// Host functions see addresses that the engine made up; these reads answer "nothing" outside
// memory.
std::string_view peek(std::uint32_t address, std::size_t size) noexcept
{
    if (!machine::holds(address, size)) return {};
    return {reinterpret_cast<const char*>(machine::base()) + address, size};
}
std::uint32_t peek_u32(std::uint32_t address) noexcept
{
    std::uint32_t value = 0;
    if (const auto bytes = peek(address, sizeof value); !bytes.empty()) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}
std::uint64_t peek_u64(std::uint32_t address) noexcept
{
    std::uint64_t value = 0;
    if (const auto bytes = peek(address, sizeof value); !bytes.empty()) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}
std::string_view peek_c_string(std::uint32_t address) noexcept
{
    const std::uint64_t end = std::uint64_t{sandboxd_js_memory_pages()} * wasm_page_bytes;
    if (!machine::holds(address, 1)) return {};
    const char* const text = reinterpret_cast<const char*>(machine::base()) + address;
    return {text, ::strnlen(text, end - address)};
}

void keep_record(std::uint64_t level, std::string_view told) noexcept
{
    if (!current.answer) return;
    if (tag_of(level) != tag_int || (level & 0xffff'ffff) >= script::console_level_count) return;
    if (told.size() + script::console_record_bytes > current.console_room) {
        current.console_room = 0;  // so that the log has no holes
        current.answer->console_truncated = true;
        return;
    }
    // A script that gets hold of the sink may call it with anything.
    const bool is_values = current.request->console_values;
    if (is_values && !script::is_json_array(told)) return;
    current.console_room -= told.size() + script::console_record_bytes;
    script::console_entry entry{.level = static_cast<script::console_level>(level & 0xff),
                                .unix_ms = clock_ns() / 1'000'000,
                                .data = {},
                                .text = {}};
    (is_values ? entry.data : entry.text) = told;
    current.answer->console.push_back(std::move(entry));
}

// A call's number; 0: there is no room for it, or it is none.
std::uint32_t keep_call(std::uint64_t index, std::string_view arguments) noexcept
{
    if (!current.answer || tag_of(index) != tag_int) return 0;
    const auto& tools = current.request->tools;
    const auto which = static_cast<std::uint32_t>(index);
    auto& calls = current.answer->calls;
    const std::size_t bytes = arguments.size() + script::tool_call_bytes;
    if (which >= tools.size() || calls.size() >= current.request->max_calls || bytes > current.calls_room) return 0;
    if (!script::is_json_array(arguments)) return 0;
    current.calls_room -= bytes;
    calls.push_back({.id = ++current.last_call, .name = tools[which], .arguments = std::string{arguments}});
    return current.last_call;
}

// How often the promise and its reason are to be given back: once for this call, unless they are held from now on, and
// once more if they were held until now.
std::size_t note_rejection(std::uint64_t promise, std::uint64_t reason, bool is_handled) noexcept
{
    if (is_handled) return 1 + current.rejections.erase(promise);
    const rejection made{.order = ++current.last_rejection, .reason = reason};
    return current.rejections.try_emplace(promise, made).second ? 0 : 1;
}

const script::source_module* find_module(std::string_view name) noexcept
{
    if (!current.request) return nullptr;
    for (const auto& one : current.request->modules)
        if (one.name == name) return &one;
    return nullptr;
}

// "./b.js" imported by "lib/a.js" is "lib/b.js"; a name without a leading dot does not depend on who imports it.
std::string resolve(std::string_view base, std::string_view name)
{
    const auto slash = base.rfind('/');
    if (slash == std::string_view::npos || (!name.starts_with("./") && !name.starts_with("../")))
        return script::module_name(name);
    return script::module_name(std::string{base.substr(0, slash + 1)} + std::string{name});
}

}  // namespace

interpreter::interpreter(library_compiled when)
{
    try {
        boot();
        if (when == library_compiled::at_start) compile_library();
    } catch (const trapped& t) {
        throw std::runtime_error{"js engine: trapped while booting: " + std::string{name(status_of(t.why))}};
    }
}

void interpreter::boot()
{
    current.booting = true;
    compile_boot_script();
    machine_.restart();
    boot_context();

    const value install = read_bytecode(boot_bytecode_);
    if (is_exception(install)) throw std::runtime_error{"js engine: boot.js: " + describe(take_exception()).text()};
    boot_bytecode_ = {};
    const auto host_function = [this](std::string_view name, std::uint32_t arity) {
        const std::uint32_t text = put(name);
        return machine_.load<value>(
            machine_.call(sandboxd_js_qjs_new_host_function, text, static_cast<std::uint32_t>(name.size()), arity));
    };
    const std::uint32_t arguments = machine_.call(sandboxd_js_wasm_malloc, 16);
    machine_.store(arguments, host_function(sink_name, 2));
    machine_.store(arguments + 8, host_function(inside_name, 2));
    turn_ = machine_.call(sandboxd_js_JS_Call, context_, install, undefined, 2, arguments);
    if (is_exception(turn_)) throw std::runtime_error{"js engine: boot.js: " + describe(take_exception()).text()};
    machine_.call(sandboxd_js_JS_FreeValue, context_, install);

    name_init_ = put("init");
    name_script_ = put("script");
    key_name_ = put("name");
    key_message_ = put("message");
    key_stack_ = put("stack");
    key_value_ = put("value");
    key_default_ = put("default");
    length_cell_ = machine_.call(sandboxd_js_wasm_malloc, 16);
    current.context = context_;
    current.cell = length_cell_;
    turn_arguments_ = machine_.call(sandboxd_js_wasm_malloc, 16);
    find_random_state();
    find_iterator_data();

    machine_.call(sandboxd_js_JS_RunGC, runtime_);
    const std::uint32_t spare = machine_.call(sandboxd_js_wasm_malloc, spare_heap_bytes);
    machine_.call(sandboxd_js_wasm_free, spare);
    machine_.freeze();
    machine_.reset();
    current.booting = false;
    script::run_request usual;
    usual.script = usual_script;
    run_once(usual);
    machine_.settle();
}

void interpreter::boot_context()
{
    machine_.set_fuel(boot_budget);
    machine_.call(sandboxd_js_initialize);
    if (machine_.call(sandboxd_js_qjs_init) != 0) throw std::runtime_error{"js engine: no runtime"};
    runtime_ = machine_.call(sandboxd_js_qjs_get_runtime_ptr);
    context_ = machine_.call(sandboxd_js_qjs_get_context_ptr);
    machine_.call(sandboxd_js_qjs_set_max_stack_size, script_stack_bytes);
    machine_.call(sandboxd_js_qjs_set_module_loader, 1);
    machine_.call(sandboxd_js_qjs_set_promise_rejection_handler, 1);
}

// In a life of the engine before the one that the image is taken of, which then has no trace of the compiler's work.
void interpreter::compile_boot_script()
{
    boot_context();
    length_cell_ = machine_.call(sandboxd_js_wasm_malloc, 16);
    boot_bytecode_ = compile(boot_script, "boot");
}

// In the boot image, which is put back then.
void interpreter::compile_library()
{
    constexpr std::uint64_t room_bytes = 64 << 20;
    current.booting = true;
    machine_.set_memory_limit(room_bytes);
    machine_.set_fuel(boot_budget);
    for (std::size_t i = 0; i < library_files.size(); ++i)
        bytecode_of_library[i] =
            compile(library_files[i].source, "library/" + std::string{library_files[i].name} + ".js");
    machine_.reset();
    current.booting = false;
}

std::string interpreter::compile(std::string_view source, std::string_view name)
{
    const std::uint32_t text = put(source);
    const std::uint32_t named = put(name);
    const value made = machine_.call(sandboxd_js_JS_Eval, context_, text, static_cast<std::uint32_t>(source.size()),
                                     named, eval_global | eval_compile_only);
    if (is_exception(made))
        throw std::runtime_error{"js engine: " + std::string{name} + ": " + describe(take_exception()).text()};
    const std::uint32_t bytes =
        machine_.call(sandboxd_js_JS_WriteObject, context_, length_cell_, made, write_bytecode | write_strip_source);
    if (bytes == 0) throw std::runtime_error{"js engine: " + std::string{name} + " cannot be written as bytecode"};
    return std::string{machine_.text(bytes, machine_.load<std::uint32_t>(length_cell_))};
}

interpreter::value interpreter::read_bytecode(const std::string& bytecode)
{
    const std::uint32_t bytes = put(bytecode);
    const value made = machine_.call(sandboxd_js_JS_ReadObject, context_, bytes,
                                     static_cast<std::uint32_t>(bytecode.size()), read_bytecode_flag);
    machine_.call(sandboxd_js_wasm_free, bytes);
    if (is_exception(made)) return made;
    return machine_.call(sandboxd_js_JS_EvalFunction, context_, made);
}

// The engine offers no way to seed Math.random, so its state is looked for: of the words in the
// context, the one that moves by the step of xorshift64* (12, 25, 27) when Math.random is called.
void interpreter::find_random_state()
{
    constexpr std::uint32_t context_bytes = 1'024;
    const std::uint32_t source = put("Math.random()");
    const auto before = std::string{machine_.text(context_, context_bytes)};
    machine_.call(sandboxd_js_JS_Eval, context_, source, 13, source, eval_global);
    const auto after = machine_.text(context_, context_bytes);
    for (std::uint32_t at = 0; at + 8 <= context_bytes; at += 8) {
        std::uint64_t x = 0;
        std::uint64_t moved = 0;
        std::memcpy(&x, before.data() + at, 8);
        std::memcpy(&moved, after.data() + at, 8);
        if (x == moved) continue;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        if (x != moved) continue;
        if (random_state_ != 0) throw std::runtime_error{"js engine: two words look like the state of Math.random"};
        random_state_ = context_ + at;
    }
    if (random_state_ == 0) throw std::runtime_error{"js engine: the state of Math.random is not where it was"};
    machine_.call(sandboxd_js_wasm_free, source);
}

// The engine has nothing that tells what an iterator goes over. Throws where it is not laid out as it was.
void interpreter::find_iterator_data()
{
    using namespace iterator_layout;
    constexpr std::uint32_t object_bytes = 64;
    constexpr std::string_view text =
        "(() => { const m = new Map([[7, 0], [8, 0]]); const i = m.entries(); i.next(); "
        "return { name: m, value: i } })()";
    const std::uint32_t source = put(text);
    const value both = machine_.call(sandboxd_js_JS_Eval, context_, source, static_cast<std::uint32_t>(text.size()),
                                     source, eval_global);
    const value map = machine_.call(sandboxd_js_JS_GetPropertyStr, context_, both, key_name_);
    const value iterator = machine_.call(sandboxd_js_JS_GetPropertyStr, context_, both, key_value_);
    for (std::uint32_t at = 0; at < object_bytes && current.iterator_data_at == 0; at += 4) {
        const std::uint32_t data = peek_u32(static_cast<std::uint32_t>(iterator) + at);
        if (data != 0 && machine::holds(data, data_bytes) && peek_u64(data) == map) current.iterator_data_at = at;
    }
    const std::uint32_t data = peek_u32(static_cast<std::uint32_t>(iterator) + current.iterator_data_at);
    const std::uint32_t record = peek_u32(data + record_at);
    if (current.iterator_data_at == 0 || peek_u32(data + kind_at) != 2 ||
        peek_u64(record + record_key_at) != make_value(tag_int, 7))
        throw std::runtime_error{"js engine: an iterator is not laid out as it was"};
    for (const value held : {iterator, map, both}) machine_.call(sandboxd_js_JS_FreeValue, context_, held);
    machine_.call(sandboxd_js_wasm_free, source);
}

void interpreter::seed(const script::run_request& request)
{
    if (!request.seed) {
        machine_.store(random_state_, fresh_seed());
        return;
    }
    current.random_stream = static_cast<std::uint64_t>(*request.seed);
    const std::uint64_t first = next_of_stream(current.random_stream);
    machine_.store(random_state_, first == 0 ? std::uint64_t{1} : first);
}

// What the host knows of a run that waits. A script may have taken over the worker that wrote it: whatever it says, the
// run that goes on from it is one that a script could have come to.
struct interpreter::suspension {
    evaluation at;
    std::uint32_t stage{0};
    std::uint32_t last_call{0};
    std::uint64_t has_timers{0};
    std::int64_t init_fuel_used{0};
    std::int64_t jumped_ns{0};
    std::int64_t seen_ns{0};
    std::uint64_t random_stream{0};
};

namespace {

// The clocks go on where they were: `wall` of the run's time was over, of which a script may have seen more.
void continue_clocks(std::chrono::microseconds wall, std::int64_t jumped_ns, std::int64_t seen_ns)
{
    constexpr std::int64_t longest_ns = std::int64_t{4'000'000'000} * 1'000'000;
    const std::int64_t before = std::clamp<std::int64_t>(wall.count(), 0, longest_ns / 1'000) * 1'000;
    current.jumped_ns = std::clamp<std::int64_t>(jumped_ns, 0, longest_ns);
    current.seen_ns = std::clamp<std::int64_t>(seen_ns, 0, longest_ns);
    current.began.tv_sec -= before / 1'000'000'000;
    current.began.tv_nsec -= before % 1'000'000'000;
    if (current.began.tv_nsec >= 0) return;
    current.began.tv_nsec += 1'000'000'000;
    --current.began.tv_sec;
}

// Of a run that has just begun, or goes on; zero: there is no limit.
std::chrono::microseconds wall_left(std::chrono::microseconds wall, bool resumed)
{
    if (wall.count() <= 0 || !resumed) return wall;
    const auto over = std::chrono::microseconds{(since(current.began) + current.jumped_ns) / 1'000};
    return std::max(wall - over, std::chrono::microseconds{1});
}

}  // namespace

script::run_answer interpreter::run(const script::run_request& request)
{
    current.lacks_library = false;
    script::run_answer answer = run_once(request);
    if (!current.lacks_library) return answer;
    compile_library();
    return run_once(request);
}

script::run_answer interpreter::run_once(const script::run_request& request)
{
    script::run_answer answer;
    const auto& limits = request.limits;
    current.request = &request;
    current.answer = &answer;
    current.console_room = limits.console_bytes;
    current.fuel_before = 0;
    current.jumped_ns = 0;
    current.seen_ns = 0;
    current.has_timers = false;
    current.last_call = 0;
    current.rejections.clear();
    current.calls_room = limits.result_bytes;
    ::clock_gettime(CLOCK_MONOTONIC, &current.began);
    machine_.set_memory_limit(limits.memory_bytes);
    std::int64_t budget = 0;
    std::int64_t init_fuel_used = 0;
    suspension from;
    if (request.resumed) {
        if (request.resumed->image.size() >= sizeof from)
            std::memcpy(&from, request.resumed->image.data(), sizeof from);
        continue_clocks(request.resumed->wall, from.jumped_ns, from.seen_ns);
        init_fuel_used = std::clamp<std::int64_t>(from.init_fuel_used, 0, request.resumed->fuel_used);
        answer.fuel_used = request.resumed->fuel_used;
    }
    machine_.set_deadline(wall_left(limits.wall, request.resumed.has_value()));
    const auto begin_stage = [&](script::run_stage stage, std::int64_t fuel) {
        answer.stage = stage;
        current.fuel_before = answer.fuel_used;
        current.fuel_of_stage = fuel;
        machine_.set_fuel(budget = fuel);
    };
    const auto end_stage = [&] {
        // The overdrawn fuel was not executed.
        answer.fuel_used += budget - std::max<std::int64_t>(machine_.fuel(), 0);
        budget = 0;
        machine_.set_fuel(0);
    };
    try {
        answer.status = script::run_status::ok;
        bool begins_script = true;
        if (request.resumed) {
            const bool in_init = from.stage == static_cast<std::uint32_t>(script::run_stage::init);
            const std::int64_t spent = in_init ? answer.fuel_used : answer.fuel_used - init_fuel_used;
            begin_stage(in_init ? script::run_stage::init : script::run_stage::script,
                        std::max<std::int64_t>((in_init ? limits.init_fuel : limits.fuel) - spent, 0));
            conclude(resume(request, from), answer);
            begins_script = in_init;
            if (in_init) {
                end_stage();
                init_fuel_used = answer.fuel_used;
            }
        } else if (!request.image.empty()) {
            if (!machine_.apply(request.image)) throw trapped{trap::fault};
            seed(request);
        } else {
            seed(request);
            if (!request.tools.empty()) {
                machine_.set_fuel(boot_budget);
                install_tools(request.tools);
                machine_.set_fuel(0);
            }
            if (request.init_script) {
                begin_stage(script::run_stage::init, limits.init_fuel);
                evaluate(*request.init_script, name_init_, false, answer);
                end_stage();
                init_fuel_used = answer.fuel_used;
            }
        }
        if (begins_script && answer.status == script::run_status::ok) {
            begin_stage(script::run_stage::script, limits.fuel);
            evaluate(request.script, name_script_, request.is_module, answer);
        }
        // Leftovers of a failed script must not run in the next one.
        if (request.image_bytes > 0 && request.tools.empty() && answer.status != script::run_status::ok) {
            if (current.has_timers) drop_timers();
            if (!are_handled()) machine_.call(sandboxd_js_JS_FreeValue, context_, take_exception());
        }
    } catch (const trapped& t) {
        answer.status = status_of(t.why);
        answer.result = "null";
    }
    machine_.clear_deadline();
    if (request.clock_ms) answer.told_time = std::chrono::microseconds{timer_ns() / 1'000};
    end_stage();
    answer.memory_bytes = machine_.memory_bytes();
    if (answer.status != script::run_status::pending) {
        answer.calls.clear();
    } else if (request.image_bytes > sizeof from) {
        from = {.at = under_way_,
                .stage = static_cast<std::uint32_t>(answer.stage),
                .last_call = current.last_call,
                .has_timers = current.has_timers ? 1U : 0U,
                .init_fuel_used = init_fuel_used,
                .jumped_ns = current.jumped_ns,
                .seen_ns = current.seen_ns,
                .random_stream = current.random_stream};
        answer.image = machine_.difference(request.image_bytes - sizeof from);
        if (!answer.image.empty()) answer.image.insert(0, reinterpret_cast<const char*>(&from), sizeof from);
    }
    if (request.image_bytes > 0 && request.tools.empty() && answer.stage == script::run_stage::script &&
        (answer.status == script::run_status::ok || answer.status == script::run_status::runtime_error))
        answer.image = machine_.difference(request.image_bytes);
    current.request = nullptr;
    current.answer = nullptr;
    machine_.reset();
    answer.wall = std::chrono::microseconds{since(current.began) / 1'000};
    return answer;
}

namespace {

std::string_view line_of(std::string_view text, std::uint32_t number)
{
    for (; number > 1 && !text.empty(); --number) text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
    return text.substr(0, text.find('\n'));
}

bool is_for_modules(std::string_view line)
{
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    for (const std::string_view word : {"import", "export"})
        if (line.starts_with(word) && line.substr(word.size()).find_first_of(" \t{*\"'") == 0) return true;
    return false;
}

}  // namespace

void interpreter::evaluate(const std::string& script, std::uint32_t name, bool is_module, script::run_answer& into)
{
    const std::uint32_t source = put(script);
    const bool began = begin(source, static_cast<std::uint32_t>(script.size()), name, is_module,
                             // `await` at top level needs the asynchronous form, which costs a promise; most scripts do
                             // not have it.
                             script.find("await") != std::string::npos);
    const evaluated made = began ? go_on() : evaluated{.thrown = true, .result = take_exception()};
    machine_.call(sandboxd_js_wasm_free, source);
    conclude(made, into);
    if (!is_module && into.thrown.name == "SyntaxError" && into.thrown.file == "script" &&
        is_for_modules(line_of(script, into.thrown.line)))
        into.thrown.message += ": `import` and `export` are for modules (\"module\": true)";
}

bool interpreter::begin(std::uint32_t source, std::uint32_t size, std::uint32_t name, bool is_module, bool awaits)
{
    const std::uint32_t how = is_module ? eval_module | eval_compile_only
                              : awaits  ? eval_global | eval_async
                                        : eval_global;
    under_way_ = {.at = is_module ? step::module : awaits ? step::async_script : step::script};
    under_way_.held = machine_.call(sandboxd_js_JS_Eval, context_, source, size, name, how);
    if (is_exception(under_way_.held)) return false;
    if (!is_module) return true;
    under_way_.definition = static_cast<std::uint32_t>(under_way_.held);
    under_way_.held = machine_.call(sandboxd_js_JS_EvalFunction, context_, under_way_.held);
    return !is_exception(under_way_.held);
}

// To the end, or until it waits.
interpreter::evaluated interpreter::go_on()
{
    const auto thrown = [this] { return evaluated{.thrown = true, .result = take_exception()}; };
    for (;;) {
        if (under_way_.at == step::script) {
            if ((machine_.call(sandboxd_js_JS_IsJobPending, runtime_) || !current.rejections.empty()) && !drain())
                return thrown();
            if (current.has_timers && !run_timers(under_way_.held)) return thrown();
            if (has_calls() && !machine_.call(sandboxd_js_JS_IsPromise, under_way_.held))
                return {.settled = false, .waits = true};
            under_way_.at = step::value;
        }
        if (under_way_.at == step::value && !machine_.call(sandboxd_js_JS_IsPromise, under_way_.held))
            return {.result = under_way_.held};
        const evaluated made = settle(under_way_.held);
        if (made.thrown || !made.settled || under_way_.at == step::value) return made;
        // The asynchronous form fulfils its promise with { value }; a module has the value among its exports.
        value inside = made.result;
        const bool is_module = under_way_.at == step::module;
        if (is_module) {
            inside = machine_.call(sandboxd_js_JS_GetModuleNamespace, context_, under_way_.definition);
            if (is_exception(inside)) return thrown();
        }
        under_way_.held =
            machine_.call(sandboxd_js_JS_GetPropertyStr, context_, inside, is_module ? key_default_ : key_value_);
        if (is_exception(under_way_.held)) return thrown();
        under_way_.at = step::value;
    }
}

void interpreter::conclude(const evaluated& made, script::run_answer& into)
{
    if (made.waits) {
        into.status = script::run_status::pending;
    } else if (!made.settled) {
        into.status = script::run_status::never_settled;
    } else if (made.thrown) {
        into.status = script::run_status::runtime_error;
        into.thrown = describe(made.result);
    } else if (into.stage == script::run_stage::script) {
        to_result(made.result, current.request->limits, into);
    }
}

bool interpreter::has_calls() const { return !current.answer->calls.empty(); }

// False when it threw.
bool interpreter::tell_tools(bool settles, std::string_view text)
{
    const std::uint32_t bytes = put(text);
    const value told =
        machine_.call(sandboxd_js_JS_NewStringLen, context_, bytes, static_cast<std::uint32_t>(text.size()));
    machine_.call(sandboxd_js_wasm_free, bytes);
    if (is_exception(told)) return false;
    machine_.store(turn_arguments_, make_value(tag_bool, settles ? 1 : 0));
    machine_.store(turn_arguments_ + 8, told);
    const value done = machine_.call(sandboxd_js_JS_Call, context_, turn_, undefined, 2, turn_arguments_);
    machine_.call(sandboxd_js_JS_FreeValue, context_, told);
    return !is_exception(done);
}

void interpreter::install_tools(const std::vector<std::string>& names)
{
    std::string list = "[";
    for (const auto& one : names) list += (list.size() > 1 ? ",\"" : "\"") + one + '"';
    if (!tell_tools(false, list + ']')) throw trapped{trap::fault};
}

interpreter::evaluated interpreter::resume(const script::run_request& request, const suspension& from)
{
    if (request.resumed->image.size() < sizeof from ||
        !machine_.apply(std::string_view{request.resumed->image}.substr(sizeof from)))
        throw trapped{trap::fault};
    current.has_timers = from.has_timers != 0;
    current.last_call = from.last_call;
    current.random_stream = from.random_stream;
    if (!request.seed) seed(request);
    under_way_ = from.at;
    if (!tell_tools(true, request.resumed->results)) return {.thrown = true, .result = take_exception()};
    return go_on();
}

// Runs every pending job. False when one threw, a callback of queueMicrotask, for example, or when a promise is
// rejected and nothing handles it.
bool interpreter::drain()
{
    for (;;) {
        const auto ran =
            static_cast<std::int32_t>(machine_.call(sandboxd_js_JS_ExecutePendingJob, runtime_, length_cell_));
        if (ran == 0) return are_handled();
        if (ran < 0) return false;
    }
}

// As in Node.js, a promise that is rejected, and that nothing handles when no job is left, is an error that nothing
// catches. False when there is one: the first is thrown.
bool interpreter::are_handled()
{
    if (current.rejections.empty()) return true;
    const auto lost = std::exchange(current.rejections, {});
    const auto first = std::ranges::min_element(lost, {}, [](const auto& one) { return one.second.order; });
    machine_.call(sandboxd_js_JS_Throw, context_, first->second.reason);
    for (auto one = lost.begin(); one != lost.end(); ++one) {
        machine_.call(sandboxd_js_JS_FreeValue, context_, one->first);
        if (one != first) machine_.call(sandboxd_js_JS_FreeValue, context_, one->second.reason);
    }
    return false;
}

// Runs every timer, and every job that comes of it, until none is left or `promise` (where it is one) is rejected.
// False when one threw.
bool interpreter::run_timers(value promise)
{
    const bool is_promise = machine_.call(sandboxd_js_JS_IsPromise, promise) != 0;
    machine_.store(turn_arguments_, make_value(tag_bool, 0));
    for (;;) {
        if (is_promise && machine_.call(sandboxd_js_JS_PromiseState, context_, promise) == promise_rejected)
            return true;
        const value ran = machine_.call(sandboxd_js_JS_Call, context_, turn_, undefined, 1, turn_arguments_);
        if (is_exception(ran)) return false;
        if (!drain()) return false;
        if ((ran & 1) == 0) return true;
    }
}

void interpreter::drop_timers()
{
    machine_.store(turn_arguments_, make_value(tag_bool, 1));
    machine_.call(sandboxd_js_JS_Call, context_, turn_, undefined, 1, turn_arguments_);
}

interpreter::evaluated interpreter::settle(value promise)
{
    if (!drain()) return {.thrown = true, .result = take_exception()};
    if (current.has_timers && !run_timers(promise)) return {.thrown = true, .result = take_exception()};
    const std::uint32_t state = machine_.call(sandboxd_js_JS_PromiseState, context_, promise);
    // A call that the script does not wait for is made, too: as with a timer, a run ends when nothing is left to do.
    if (has_calls() && state != promise_rejected) return {.settled = false, .waits = true};
    if (state == promise_pending) return {.settled = false};
    return {.thrown = state == promise_rejected,
            .result = machine_.call(sandboxd_js_JS_PromiseResult, context_, promise)};
}

void interpreter::to_result(value what, const script::run_limits& limits, script::run_answer& into)
{
    const auto refuse = [&into](std::string_view kind) {
        into.status = script::run_status::runtime_error;
        into.thrown.is_error = true;
        into.thrown.name = "TypeError";
        into.thrown.message = "the result is " + std::string{kind} + ", which JSON cannot carry";
    };
    switch (tag_of(what)) {
        case tag_undefined: into.is_undefined = true; return;
        case tag_null: return;
        case tag_int: into.result = std::to_string(static_cast<std::int32_t>(what)); return;
        case tag_bool: into.result = (what & 1) ? "true" : "false"; return;
        case tag_symbol: refuse("a symbol"); return;
        case tag_first:
        case tag_short_big_int: refuse("a BigInt"); return;
        default: break;
    }
    if (machine_.call(sandboxd_js_JS_IsFunction, context_, what)) {
        refuse("a function");
        return;
    }
    const value text = machine_.call(sandboxd_js_JS_JSONStringify, context_, what, undefined, undefined);
    if (is_exception(text)) {
        into.status = script::run_status::runtime_error;
        into.thrown = describe(take_exception());
        // The engine's own words are about JSON.stringify, which the script does not mention.
        if (into.thrown.message == "BigInt are forbidden in JSON.stringify") refuse("a value that holds a BigInt");
        if (into.thrown.message == "circular reference") refuse("a value that holds itself");
        return;
    }
    if (!is_text(text)) {
        refuse("a value whose toJSON gives nothing");
        return;
    }
    bool too_long = false;
    into.result = to_text(text, limits.result_bytes, too_long);
    if (!too_long) return;
    into.result = "null";
    into.status = script::run_status::output_limit;
}

script::thrown_value interpreter::describe(value thrown)
{
    script::thrown_value made;
    bool too_long = false;
    if (machine_.call(sandboxd_js_JS_IsError, thrown)) {
        made.is_error = true;
        made.name = property_text(thrown, key_name_);
        made.message = property_text(thrown, key_message_);
        made.stack = property_text(thrown, key_stack_);
        locate(made);
        if (made.name.empty()) made.name = "Error";
        return made;
    }
    made.message = to_text(thrown, thrown_text_bytes, too_long);
    if (tag_of(thrown) == tag_undefined) return made;
    const value json = machine_.call(sandboxd_js_JS_JSONStringify, context_, thrown, undefined, undefined);
    if (is_exception(json)) {
        take_exception();
    } else if (is_text(json)) {
        made.json = to_text(json, thrown_text_bytes, too_long);
        if (too_long) made.json.clear();
        if (made.message == "[object Object]" && !made.json.empty()) made.message = made.json;
    }
    return made;
}

interpreter::value interpreter::take_exception() { return machine_.call(sandboxd_js_JS_GetException, context_); }

// Empty when the conversion throws.
std::string interpreter::to_text(value what, std::uint32_t max_bytes, bool& too_long)
{
    const std::uint32_t text = machine_.call(sandboxd_js_JS_ToCStringLen2, context_, length_cell_, what, 0);
    if (text == 0) {
        take_exception();
        return {};
    }
    const auto size = machine_.load<std::uint32_t>(length_cell_);
    too_long = size > max_bytes;
    std::string made = to_valid_utf8(machine_.text(text, std::min(size, max_bytes)));
    machine_.call(sandboxd_js_JS_FreeCString, context_, text);
    return made;
}

// Empty when it is not there, is no string, or its getter throws.
std::string interpreter::property_text(value object, std::uint32_t name)
{
    const value held = machine_.call(sandboxd_js_JS_GetPropertyStr, context_, object, name);
    if (is_exception(held)) {
        take_exception();
        return {};
    }
    bool too_long = false;
    return is_text(held) ? to_text(held, thrown_text_bytes, too_long) : std::string{};
}

std::uint32_t interpreter::put(std::string_view bytes)
{
    const std::uint32_t place = machine_.call(sandboxd_js_wasm_malloc, static_cast<std::uint32_t>(bytes.size() + 1));
    const auto room = machine_.at(place, bytes.size() + 1);
    std::memcpy(room.data(), bytes.data(), bytes.size());
    room[bytes.size()] = 0;
    return place;
}

}  // namespace sandboxd::engine

// Host functions. Generated code is below them on the stack, so no exception may leave them, and a
// trap in an engine call that they make skips them: then nothing with a destructor may be alive.

using namespace sandboxd::engine;

namespace {

// A value in a box, which is how the engine takes what a host function returns.
std::uint32_t boxed(std::uint64_t value)
{
    const std::uint32_t box = sandboxd_js_qjs_new_number(0);
    if (box != 0 && machine::holds(box, sizeof value)) std::memcpy(machine::base() + box, &value, sizeof value);
    return box;
}

void tell_console(std::uint64_t level, std::uint64_t told)
{
    if (!is_text(told)) return;
    // The engine copies the string out for us; it is given back below.
    const std::uint32_t cell = sandboxd_js_wasm_malloc(4);
    const std::uint32_t text = cell ? sandboxd_js_JS_ToCStringLen2(current.context, cell, told, 0) : 0;
    if (text != 0) {
        {
            const host_side outside;
            keep_record(level, peek(text, peek_u32(cell)));
        }
        host_side::leave();
        sandboxd_js_JS_FreeCString(current.context, text);
    }
    sandboxd_js_wasm_free(cell);
}

std::uint32_t load_library(std::uint32_t index)
{
    if (index >= bytecode_of_library.size()) return sandboxd_js_qjs_get_undefined();
    const std::string& bytes = bytecode_of_library[index];
    if (bytes.empty()) {
        current.lacks_library = true;
        sandboxd_js_trap(SANDBOXD_JS_TRAP_UNREACHABLE);
    }
    const auto size = static_cast<std::uint32_t>(bytes.size());
    const std::uint32_t place = sandboxd_js_wasm_malloc(size);
    if (place == 0 || !machine::holds(place, size)) return sandboxd_js_qjs_get_undefined();
    std::memcpy(machine::base() + place, bytes.data(), size);
    const std::uint64_t code = sandboxd_js_JS_ReadObject(current.context, place, size, read_bytecode_flag);
    sandboxd_js_wasm_free(place);
    return boxed(is_exception(code) ? code : sandboxd_js_JS_EvalFunction(current.context, code));
}

void fill_array(std::uint64_t array)
{
    const std::uint32_t cell = sandboxd_js_wasm_malloc(4);
    if (cell == 0) return;
    const std::uint32_t bytes = sandboxd_js_JS_GetUint8Array(current.context, cell, array);
    const std::uint32_t size = bytes == 0 ? 0 : peek_u32(cell);
    if (size > 0) sandboxd_js_host_random(bytes, size);
    sandboxd_js_wasm_free(cell);
}

double number_of(std::uint64_t value)
{
    // quickjs.h, JS_FLOAT64_TAG_ADDEND: a double is shifted so that its tag is none of the others.
    constexpr std::uint64_t shift = std::uint64_t{0x7ff80000 - tag_first + 1} << 32;
    if (tag_of(value) == tag_int) return static_cast<std::int32_t>(value);
    if (tag_of(value) != tag_float64) return 0;
    return std::bit_cast<double>(value + shift);
}

// The clock jumps; the skipped time counts as the run's time.
void advance_to(double wanted_ms)
{
    constexpr double longest_ms = 4e12;  // no deadline is as far away, and its nanoseconds are a number
    if (!current.request || !(wanted_ms >= 0)) return;
    if (wanted_ms >= longest_ms) sandboxd_js_trap(SANDBOXD_JS_TRAP_DEADLINE);
    const auto wanted = static_cast<std::int64_t>(wanted_ms * 1e6);
    const std::int64_t now = timer_ns();
    if (wanted <= now) return;
    current.jumped_ns += wanted - now;
    current.seen_ns = std::max(current.seen_ns, wanted);
    const auto wall = std::chrono::nanoseconds{current.request->limits.wall}.count();
    if (wall <= 0) return;
    const std::int64_t left = wall - since(current.began) - current.jumped_ns;
    if (left <= 0) sandboxd_js_trap(SANDBOXD_JS_TRAP_DEADLINE);
    itimerval timer = {};
    timer.it_value.tv_sec = left / 1'000'000'000;
    timer.it_value.tv_usec = left % 1'000'000'000 / 1'000 + 1;
    ::setitimer(ITIMER_REAL, &timer, nullptr);
}

// The data of an iterator; 0: it is none.
std::uint32_t iterator_data(std::uint64_t iterator, std::uint32_t box)
{
    using namespace iterator_layout;
    if (tag_of(iterator) != tag_object) return 0;
    const std::uint64_t name = peek_u64(sandboxd_js_qjs_get_class_name(box));
    const std::uint32_t text = sandboxd_js_JS_ToCStringLen2(current.context, current.cell, name, 0);
    const auto spelled = peek_c_string(text);
    const bool fits = spelled == "Map Iterator" || spelled == "Set Iterator";
    if (text != 0) sandboxd_js_JS_FreeCString(current.context, text);
    if (!fits) return 0;
    const std::uint32_t data = peek_u32(static_cast<std::uint32_t>(iterator) + current.iterator_data_at);
    return machine::holds(data, data_bytes) ? data : 0;
}

// 0 keys, 1 values, 2 entries; and that it has given some, or that it cannot be told what it has.
std::uint32_t iterator_state_of(std::uint32_t data)
{
    using namespace iterator_layout;
    if (data == 0) return iterator_is_unknown;
    const std::uint32_t kind = peek_u32(data + kind_at) & 3;
    const std::uint32_t record = peek_u32(data + record_at);
    if (record == 0) return kind;
    if (!machine::holds(record, record_bytes) || (peek_u32(record + record_is_removed_at) & 1) != 0)
        return iterator_is_unknown;
    return kind | iterator_is_under_way;
}

std::uint32_t iterator_key_of(std::uint32_t data)
{
    using namespace iterator_layout;
    if ((iterator_state_of(data) & iterator_is_under_way) == 0) return sandboxd_js_qjs_get_undefined();
    const std::uint64_t key = peek_u64(peek_u32(data + record_at) + record_key_at);
    return boxed(sandboxd_js_JS_DupValue(current.context, key));
}

std::uint32_t make_call(std::uint64_t index, std::uint64_t arguments)
{
    if (!is_text(arguments)) return sandboxd_js_qjs_get_undefined();
    const std::uint32_t cell = sandboxd_js_wasm_malloc(4);
    const std::uint32_t text = cell ? sandboxd_js_JS_ToCStringLen2(current.context, cell, arguments, 0) : 0;
    std::uint32_t id = 0;
    if (text != 0) {
        {
            const host_side outside;
            id = keep_call(index, peek(text, peek_u32(cell)));
        }
        host_side::leave();
        sandboxd_js_JS_FreeCString(current.context, text);
    }
    sandboxd_js_wasm_free(cell);
    return id == 0 ? sandboxd_js_qjs_get_undefined() : sandboxd_js_qjs_new_number(id);
}

std::uint32_t answer_question(std::uint64_t what, std::uint32_t box, std::uint64_t third)
{
    if (tag_of(what) != tag_int) return sandboxd_js_qjs_get_undefined();
    const std::uint64_t value = peek_u64(box);
    switch (static_cast<question>(static_cast<std::uint32_t>(what))) {
        case question::proxy_target: {
            if (!sandboxd_js_qjs_is_proxy(box)) break;
            const std::uint32_t target = sandboxd_js_qjs_get_proxy_target(box);
            const std::int32_t tag = tag_of(peek_u64(target));
            return tag == tag_undefined || tag == tag_exception ? boxed(make_value(tag_null, 0)) : target;
        }
        case question::class_name: return sandboxd_js_qjs_get_class_name(box);
        case question::promise_state: return sandboxd_js_qjs_new_number(sandboxd_js_qjs_promise_state(box));
        case question::promise_result: return sandboxd_js_qjs_promise_result(box);
        case question::load: return load_library(static_cast<std::uint32_t>(value));
        case question::fill_random: fill_array(value); break;
        case question::timer_now:
            current.has_timers = true;
            return sandboxd_js_qjs_new_number(static_cast<double>(timer_ns()) / 1e6);
        case question::timer_advance: advance_to(number_of(value)); break;
        case question::wants_values:
            return boxed(make_value(tag_bool, current.request && current.request->console_values ? 1 : 0));
        case question::iterator_state: return sandboxd_js_qjs_new_number(iterator_state_of(iterator_data(value, box)));
        case question::iterator_source: {
            const std::uint32_t data = iterator_data(value, box);
            if (data == 0) break;
            return boxed(sandboxd_js_JS_DupValue(current.context, peek_u64(data)));
        }
        case question::iterator_key: return iterator_key_of(iterator_data(value, box));
        case question::tool_call: return make_call(value, third);
    }
    return sandboxd_js_qjs_get_undefined();
}

}  // namespace

std::uint32_t sandboxd_js_host_call(std::uint32_t name, std::uint32_t name_size, std::uint32_t, std::uint32_t argc,
                                    std::uint32_t argv)
{
    const std::string_view called = peek(name, name_size);
    const std::uint64_t first = argc >= 1 ? peek_u64(peek_u32(argv)) : undefined;
    const std::uint32_t second = argc >= 2 ? peek_u32(argv + 4) : 0;
    if (called == inside_name && argc >= 1)
        return answer_question(first, second != 0 ? second : peek_u32(argv),
                               argc >= 3 ? peek_u64(peek_u32(argv + 8)) : undefined);
    if (called == sink_name && argc >= 2) tell_console(first, peek_u64(second));
    return sandboxd_js_qjs_get_undefined();
}

std::uint32_t sandboxd_js_host_module_normalize(std::uint32_t base, std::uint32_t name)
{
    static char resolved[1'024];
    std::uint32_t size = 0;
    {
        const host_side outside;
        const std::string full = resolve(peek_c_string(base), peek_c_string(name));
        size = static_cast<std::uint32_t>(std::min(full.size(), sizeof resolved - 1));
        std::memcpy(resolved, full.data(), size);
    }
    host_side::leave();
    const std::uint32_t place = sandboxd_js_wasm_malloc(size + 1);
    if (place != 0 && machine::holds(place, size + 1)) {
        std::memcpy(machine::base() + place, resolved, size);
        machine::base()[place + size] = 0;
    }
    return place;
}

std::uint32_t sandboxd_js_host_module_load(std::uint32_t name, std::uint32_t size_out)
{
    const sandboxd::script::source_module* found = nullptr;
    {
        const host_side outside;
        found = find_module(peek_c_string(name));
    }
    host_side::leave();
    if (!found) return 0;  // the engine throws: "could not load module filename '…'"
    const auto size = static_cast<std::uint32_t>(found->source.size());
    const std::uint32_t place = sandboxd_js_wasm_malloc(size + 1);
    if (place == 0 || !machine::holds(place, size + 1) || !machine::holds(size_out, 4)) return 0;
    std::memcpy(machine::base() + place, found->source.data(), size);
    machine::base()[place + size] = 0;
    std::memcpy(machine::base() + size_out, &size, sizeof size);
    return place;
}

// Both are boxes. They are ours, as are the values in them.
void sandboxd_js_host_rejection(std::uint32_t promise, std::uint32_t reason, std::uint32_t handled)
{
    const std::uint64_t rejected = peek_u64(promise);
    const std::uint64_t why = peek_u64(reason);
    sandboxd_js_wasm_free(promise);
    sandboxd_js_wasm_free(reason);
    std::size_t given_back = 0;
    {
        const host_side outside;
        given_back = note_rejection(rejected, why, handled != 0);
    }
    host_side::leave();
    for (; given_back > 0; --given_back) {
        sandboxd_js_JS_FreeValue(current.context, rejected);
        sandboxd_js_JS_FreeValue(current.context, why);
    }
}

std::uint32_t sandboxd_js_host_clock(std::uint32_t id, std::uint32_t result)
{
    constexpr std::uint32_t realtime = 0;
    constexpr std::uint32_t not_supported = 58;
    if (!machine::holds(result, 8)) return not_supported;
    // The monotonic clock starts with the run: how long the host has been up is none of a script's
    // business.
    const std::int64_t elapsed = current.booting     ? 0
                                 : has_fixed_clock() ? timer_ns()
                                                     : since(current.began) + current.jumped_ns;
    if (!current.booting) current.seen_ns = std::max(current.seen_ns, elapsed);
    const std::int64_t now = id != realtime ? elapsed : current.booting ? boot_seconds * 1'000'000'000 : clock_ns();
    std::memcpy(machine::base() + result, &now, sizeof now);
    return 0;
}

std::uint32_t sandboxd_js_host_random(std::uint32_t into, std::uint32_t size)
{
    constexpr std::uint32_t io_error = 29;
    if (!machine::holds(into, size)) return io_error;
    const host_side outside;
    if (current.booting)
        std::memset(machine::base() + into, 7, size);
    else if (current.request && current.request->seed)
        fill_from_stream(machine::base() + into, size);
    else {
        // A page that nobody has written to before opens for this process, but not for the kernel.
        std::memset(machine::base() + into, 0, size);
        fill_random(machine::base() + into, size);
    }
    host_side::leave();
    return 0;
}
