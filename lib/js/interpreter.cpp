#include "js/interpreter.hpp"

#include "base/utf8.hpp"
#include "js/boot_script.hpp"
#include "js/json_text.hpp"

#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace sandboxd::js {

namespace {

// quickjs.h: with NaN boxing the upper half of a value is its tag.
constexpr std::int32_t tag_first = -9;
constexpr std::int32_t tag_symbol = -8;
constexpr std::int32_t tag_string = -7;
constexpr std::int32_t tag_string_rope = -6;
constexpr std::int32_t tag_int = 0;
constexpr std::int32_t tag_bool = 1;
constexpr std::int32_t tag_null = 2;
constexpr std::int32_t tag_undefined = 3;
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
// Heap that the boot image has in stock, so that a small script need not grow the memory.
constexpr std::uint32_t spare_heap_bytes = 48 << 10;

// While the boot image is made the clock stands still at this moment (in seconds), so that every
// worker's image is the same, and with it what a script's fuel depends on.
constexpr std::int64_t boot_seconds = 1'700'000'000;
constexpr std::int64_t boot_budget = 4'000'000'000;

// Texts of exceptions are cut: a script may throw a string of any length.
constexpr std::uint32_t thrown_text_bytes = 64 << 10;

constexpr std::string_view sink_name = "console";

// What the host functions need; there is one interpreter.
struct under_way {
    const run_request* request{nullptr};
    run_answer* answer{nullptr};
    std::size_t console_room{0};
    timespec began{};
    bool booting{true};
} current;

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

// Seeds of Math.random. They come from the kernel, in stock: a script can work out its own run's
// seed from what Math.random returns, and must learn nothing about another's from it.
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

run_status status_of(trap why)
{
    switch (why) {
        case trap::out_of_fuel: return run_status::out_of_fuel;
        case trap::memory_limit: return run_status::out_of_memory;
        case trap::deadline: return run_status::timeout;
        case trap::output_limit: return run_status::output_limit;
        case trap::native_stack: return run_status::stack_overflow;
        case trap::fault: return run_status::fault;
    }
    return run_status::fault;
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

void keep_record(std::uint64_t level, std::string_view json) noexcept
{
    if (!current.answer) return;
    if (tag_of(level) != tag_int || (level & 0xffff'ffff) >= console_level_count) return;
    if (json.size() + console_record_bytes > current.console_room) {
        current.console_room = 0;  // so that the log has no holes
        current.answer->console_truncated = true;
        return;
    }
    // A script that gets hold of the sink can call it with anything.
    if (!is_json_array(json)) return;
    current.console_room -= json.size() + console_record_bytes;
    current.answer->console.push_back({.level = static_cast<console_level>(level & 0xff),
                                       .unix_ms = unix_ns() / 1'000'000,
                                       .data = std::string{json}});
}

const source_module* find_module(std::string_view name) noexcept
{
    if (!current.request) return nullptr;
    for (const auto& one : current.request->modules)
        if (one.name == name) return &one;
    return nullptr;
}

// "./b.js" imported by "lib/a.js" is "lib/b.js"; a name without a leading dot is taken as it is.
std::string resolve(std::string_view base, std::string_view name)
{
    if (!name.starts_with("./") && !name.starts_with("../")) return std::string{name};
    std::string folder{base.substr(0, base.rfind('/') == std::string_view::npos ? 0 : base.rfind('/'))};
    for (;;) {
        if (name.starts_with("./")) {
            name.remove_prefix(2);
        } else if (name.starts_with("../")) {
            name.remove_prefix(3);
            const auto slash = folder.rfind('/');
            folder.resize(slash == std::string::npos ? 0 : slash);
        } else {
            break;
        }
    }
    return folder.empty() ? std::string{name} : folder + "/" + std::string{name};
}

}  // namespace

interpreter::interpreter()
{
    try {
        boot();
    } catch (const trapped& t) {
        throw std::runtime_error{"js engine: trapped while booting: " + std::string{name(status_of(t.why))}};
    }
}

void interpreter::boot()
{
    current.booting = true;
    machine_.set_fuel(boot_budget);
    machine_.call(sandboxd_js_initialize);
    if (machine_.call(sandboxd_js_qjs_init) != 0) throw std::runtime_error{"js engine: no runtime"};
    runtime_ = machine_.call(sandboxd_js_qjs_get_runtime_ptr);
    context_ = machine_.call(sandboxd_js_qjs_get_context_ptr);
    machine_.call(sandboxd_js_qjs_set_max_stack_size, script_stack_bytes);
    machine_.call(sandboxd_js_qjs_set_module_loader, 1);

    const std::uint32_t source = put(boot_script);
    const std::uint32_t boot_name = put("boot");
    const value install = machine_.call(sandboxd_js_JS_Eval, context_, source,
                                        static_cast<std::uint32_t>(boot_script.size()), boot_name, eval_global);
    if (is_exception(install)) throw std::runtime_error{"js engine: boot.js: " + describe(take_exception()).text()};
    const std::uint32_t sink_text = put(sink_name);
    const std::uint32_t sink_box =
        machine_.call(sandboxd_js_qjs_new_host_function, sink_text, static_cast<std::uint32_t>(sink_name.size()), 2);
    const std::uint32_t arguments = machine_.call(sandboxd_js_wasm_malloc, 8);
    machine_.store(arguments, machine_.load<value>(sink_box));
    const value installed = machine_.call(sandboxd_js_JS_Call, context_, install, undefined, 1, arguments);
    if (is_exception(installed)) throw std::runtime_error{"js engine: boot.js: " + describe(take_exception()).text()};
    machine_.call(sandboxd_js_JS_FreeValue, context_, install);
    machine_.call(sandboxd_js_wasm_free, source);

    name_init_ = put("init");
    name_script_ = put("script");
    key_name_ = put("name");
    key_message_ = put("message");
    key_stack_ = put("stack");
    key_value_ = put("value");
    key_default_ = put("default");
    length_cell_ = machine_.call(sandboxd_js_wasm_malloc, 16);
    find_random_state();

    machine_.call(sandboxd_js_JS_RunGC, runtime_);
    const std::uint32_t spare = machine_.call(sandboxd_js_wasm_malloc, spare_heap_bytes);
    machine_.call(sandboxd_js_wasm_free, spare);
    machine_.freeze();
    machine_.reset();
    current.booting = false;
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

void interpreter::seed() { machine_.store(random_state_, fresh_seed()); }

run_answer interpreter::run(const run_request& request)
{
    run_answer answer;
    const auto& limits = request.limits;
    current.request = &request;
    current.answer = &answer;
    current.console_room = limits.console_bytes;
    ::clock_gettime(CLOCK_MONOTONIC, &current.began);
    machine_.set_memory_limit(limits.memory_bytes);
    machine_.set_deadline(limits.wall);
    std::int64_t budget = 0;
    const auto begin_stage = [&](run_stage stage, std::int64_t fuel) {
        answer.stage = stage;
        machine_.set_fuel(budget = fuel);
    };
    const auto end_stage = [&] {
        // What was overdrawn was not executed.
        answer.fuel_used += budget - std::max<std::int64_t>(machine_.fuel(), 0);
        budget = 0;
        machine_.set_fuel(0);
    };
    try {
        answer.status = run_status::ok;
        if (!request.image.empty()) {
            if (!machine_.apply(request.image)) throw trapped{trap::fault};
            seed();
        } else {
            seed();
            if (request.init_script) {
                begin_stage(run_stage::init, limits.init_fuel);
                evaluate(*request.init_script, name_init_, false, answer);
                end_stage();
            }
        }
        if (answer.status == run_status::ok) {
            begin_stage(run_stage::script, limits.fuel);
            evaluate(request.script, name_script_, request.is_module, answer);
        }
    } catch (const trapped& t) {
        answer.status = status_of(t.why);
        answer.result = "null";
    }
    machine_.clear_deadline();
    end_stage();
    answer.memory_bytes = machine_.memory_bytes();
    if (request.image_bytes > 0 && answer.stage == run_stage::script &&
        (answer.status == run_status::ok || answer.status == run_status::runtime_error))
        answer.image = machine_.difference(request.image_bytes);
    current.request = nullptr;
    current.answer = nullptr;
    machine_.reset();
    answer.wall = std::chrono::microseconds{since(current.began) / 1'000};
    return answer;
}

void interpreter::evaluate(const std::string& script, std::uint32_t name, bool is_module, run_answer& into)
{
    const std::uint32_t source = put(script);
    const auto size = static_cast<std::uint32_t>(script.size());
    // `await` at top level needs the asynchronous form, which costs a promise; most scripts do not
    // have it.
    const bool awaits = script.find("await") != std::string::npos;
    evaluated made = is_module ? evaluate_module(source, size, name) : evaluate_script(source, size, name, awaits);
    if (!made.thrown && made.settled && machine_.call(sandboxd_js_JS_IsPromise, made.result))
        made = settle(made.result);
    machine_.call(sandboxd_js_wasm_free, source);
    if (!made.settled) {
        into.status = run_status::never_settled;
    } else if (made.thrown) {
        into.status = run_status::runtime_error;
        into.thrown = describe(made.result);
    } else if (into.stage == run_stage::script) {
        to_result(made.result, current.request->limits, into);
    }
}

interpreter::evaluated interpreter::evaluate_script(std::uint32_t source, std::uint32_t size, std::uint32_t name,
                                                    bool awaits)
{
    const value made = machine_.call(sandboxd_js_JS_Eval, context_, source, size, name,
                                     awaits ? eval_global | eval_async : eval_global);
    if (is_exception(made)) return {.thrown = true, .result = take_exception()};
    if (!awaits) {
        if (machine_.call(sandboxd_js_JS_IsJobPending, runtime_) && !drain())
            return {.thrown = true, .result = take_exception()};
        return {.result = made};
    }
    // The asynchronous form fulfils its promise with { value }.
    const evaluated wrapped = settle(made);
    if (wrapped.thrown || !wrapped.settled) return wrapped;
    const value inner = machine_.call(sandboxd_js_JS_GetPropertyStr, context_, wrapped.result, key_value_);
    if (is_exception(inner)) return {.thrown = true, .result = take_exception()};
    return {.result = inner};
}

interpreter::evaluated interpreter::evaluate_module(std::uint32_t source, std::uint32_t size, std::uint32_t name)
{
    const value module =
        machine_.call(sandboxd_js_JS_Eval, context_, source, size, name, eval_module | eval_compile_only);
    if (is_exception(module)) return {.thrown = true, .result = take_exception()};
    const auto definition = static_cast<std::uint32_t>(module);
    const value promise = machine_.call(sandboxd_js_JS_EvalFunction, context_, module);
    if (is_exception(promise)) return {.thrown = true, .result = take_exception()};
    const evaluated ran = settle(promise);
    if (ran.thrown || !ran.settled) return ran;
    const value exported = machine_.call(sandboxd_js_JS_GetModuleNamespace, context_, definition);
    if (is_exception(exported)) return {.thrown = true, .result = take_exception()};
    const value result = machine_.call(sandboxd_js_JS_GetPropertyStr, context_, exported, key_default_);
    if (is_exception(result)) return {.thrown = true, .result = take_exception()};
    return {.result = result};
}

// Runs every pending job. False when one threw: a callback of queueMicrotask, for example.
bool interpreter::drain()
{
    for (;;) {
        const auto ran =
            static_cast<std::int32_t>(machine_.call(sandboxd_js_JS_ExecutePendingJob, runtime_, length_cell_));
        if (ran == 0) return true;
        if (ran < 0) return false;
    }
}

interpreter::evaluated interpreter::settle(value promise)
{
    if (!drain()) return {.thrown = true, .result = take_exception()};
    const std::uint32_t state = machine_.call(sandboxd_js_JS_PromiseState, context_, promise);
    if (state == promise_pending) return {.settled = false};
    return {.thrown = state == promise_rejected,
            .result = machine_.call(sandboxd_js_JS_PromiseResult, context_, promise)};
}

void interpreter::to_result(value what, const run_limits& limits, run_answer& into)
{
    const auto refuse = [&into](std::string_view kind) {
        into.status = run_status::runtime_error;
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
        default: break;
    }
    if (machine_.call(sandboxd_js_JS_IsFunction, context_, what)) {
        refuse("a function");
        return;
    }
    const value text = machine_.call(sandboxd_js_JS_JSONStringify, context_, what, undefined, undefined);
    if (is_exception(text)) {
        into.status = run_status::runtime_error;
        into.thrown = describe(take_exception());
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
    into.status = run_status::output_limit;
}

thrown_value interpreter::describe(value thrown)
{
    thrown_value made;
    bool too_long = false;
    if (machine_.call(sandboxd_js_JS_IsError, thrown)) {
        made.is_error = true;
        made.name = property_text(thrown, key_name_);
        made.message = property_text(thrown, key_message_);
        made.stack = property_text(thrown, key_stack_);
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

}  // namespace sandboxd::js

// Host functions. Generated code is below them on the stack, so no exception may leave them, and a
// trap in an engine call that they make skips them: then nothing with a destructor may be alive.

using namespace sandboxd::js;

std::uint32_t sandboxd_js_host_call(std::uint32_t name, std::uint32_t name_size, std::uint32_t, std::uint32_t argc,
                                    std::uint32_t argv)
{
    {
        const host_side outside;
        if (argc >= 2 && peek(name, name_size) == sink_name) {
            const std::uint64_t level = peek_u64(peek_u32(argv));
            const std::uint64_t json = peek_u64(peek_u32(argv + 4));
            if (is_text(json)) {
                host_side::leave();
                // The engine copies the string out for us; it is given back below.
                const std::uint32_t context = sandboxd_js_qjs_get_context_ptr();
                const std::uint32_t cell = sandboxd_js_wasm_malloc(4);
                const std::uint32_t text = cell ? sandboxd_js_JS_ToCStringLen2(context, cell, json, 0) : 0;
                if (text != 0) {
                    {
                        const host_side again;
                        keep_record(level, peek(text, peek_u32(cell)));
                    }
                    host_side::leave();
                    sandboxd_js_JS_FreeCString(context, text);
                }
                sandboxd_js_wasm_free(cell);
            }
        }
    }
    host_side::leave();
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
    const source_module* found = nullptr;
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

std::uint32_t sandboxd_js_host_clock(std::uint32_t id, std::uint32_t result)
{
    constexpr std::uint32_t realtime = 0;
    constexpr std::uint32_t not_supported = 58;
    if (!machine::holds(result, 8)) return not_supported;
    // The monotonic clock starts with the run: how long the host has been up is none of a script's
    // business.
    const std::int64_t now = id == realtime    ? (current.booting ? boot_seconds * 1'000'000'000 : unix_ns())
                             : current.booting ? 0
                                               : since(current.began);
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
    else
        fill_random(machine::base() + into, size);
    host_side::leave();
    return 0;
}
