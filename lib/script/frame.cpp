#include "script/frame.hpp"

#include "base/utf8.hpp"
#include "script/json_text.hpp"
#include "script/tool_names.hpp"

#include <algorithm>
#include <concepts>
#include <cstring>

namespace sandboxd::script {

namespace {

class writer {
public:
    explicit writer(std::size_t usual_bytes = 0)
    {
        bytes_.reserve(frame_header_bytes + usual_bytes);
        bytes_.resize(frame_header_bytes);
    }

    template <std::integral T>
    void number(T value)
    {
        bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    void text(std::string_view value)
    {
        number(static_cast<std::uint32_t>(value.size()));
        bytes_.append(value);
    }
    std::string frame()
    {
        const auto size = static_cast<std::uint32_t>(bytes_.size() - frame_header_bytes);
        std::memcpy(bytes_.data(), &size, sizeof size);
        return std::move(bytes_);
    }

private:
    std::string bytes_;
};

// The first fault is remembered; what is read after it is empty.
class reader {
public:
    explicit reader(std::string_view bytes) : left_{bytes} {}

    template <std::integral T>
    T number()
    {
        T value{};
        if (left_.size() < sizeof value) {
            fail();
            return value;
        }
        std::memcpy(&value, left_.data(), sizeof value);
        left_.remove_prefix(sizeof value);
        return value;
    }
    bool flag() { return number<std::uint8_t>() != 0; }
    template <class E>
    E one_of(std::uint8_t count)
    {
        const auto value = number<std::uint8_t>();
        if (value >= count) fail();
        return failed_ ? E{} : static_cast<E>(value);
    }
    std::string text()
    {
        const auto size = number<std::uint32_t>();
        if (size > left_.size()) {
            fail();
            return {};
        }
        std::string value{left_.substr(0, size)};
        left_.remove_prefix(size);
        return value;
    }
    std::string utf8()
    {
        std::string value = text();
        if (!is_valid_utf8(value)) return to_valid_utf8(value);
        return value;
    }
    // How many items may follow at most, each of which takes `least` bytes.
    std::uint32_t count(std::size_t least)
    {
        const auto value = number<std::uint32_t>();
        if (value > left_.size() / least) fail();
        return failed_ ? 0 : value;
    }

    void fail()
    {
        failed_ = true;
        left_ = {};
    }
    bool complete() const { return !failed_ && left_.empty(); }

private:
    std::string_view left_;
    bool failed_{false};
};

void put(writer& out, const run_limits& limits)
{
    out.number(limits.init_fuel);
    out.number(limits.fuel);
    out.number(limits.memory_bytes);
    out.number(static_cast<std::int64_t>(limits.wall.count()));
    out.number(limits.console_bytes);
    out.number(limits.result_bytes);
}

run_limits take_limits(reader& in)
{
    run_limits limits;
    limits.init_fuel = in.number<std::int64_t>();
    limits.fuel = in.number<std::int64_t>();
    limits.memory_bytes = in.number<std::uint64_t>();
    limits.wall = std::chrono::microseconds{in.number<std::int64_t>()};
    limits.console_bytes = in.number<std::uint32_t>();
    limits.result_bytes = in.number<std::uint32_t>();
    return limits;
}

void put(writer& out, const std::optional<std::int64_t>& value)
{
    out.number(static_cast<std::uint8_t>(value.has_value()));
    out.number(value.value_or(0));
}

std::optional<std::int64_t> take_optional(reader& in)
{
    const bool is_there = in.flag();
    const auto value = in.number<std::int64_t>();
    if (!is_there && value != 0) in.fail();
    return is_there ? std::optional{value} : std::nullopt;
}

error malformed(const char* what)
{
    return {errc::internal, std::string{"a malformed "} + what + " between server and JavaScript worker"};
}

}  // namespace

std::string encode_frame(const run_request& request, std::uint64_t number)
{
    constexpr std::size_t all_but_texts = 128;
    const std::string_view init_script = request.init_script ? std::string_view{*request.init_script} : "";
    writer out{all_but_texts + init_script.size() + request.script.size() + request.image.size()};
    out.number(number);
    out.number(static_cast<std::uint8_t>(request.init_script.has_value()));
    out.text(init_script);
    out.text(request.script);
    out.number(static_cast<std::uint8_t>(request.is_module));
    out.number(static_cast<std::uint32_t>(request.modules.size()));
    for (const auto& one : request.modules) {
        out.text(one.name);
        out.text(one.source);
    }
    put(out, request.limits);
    out.number(static_cast<std::uint8_t>(request.console_values));
    out.text(request.image);
    out.number(request.image_bytes);
    out.number(static_cast<std::uint32_t>(request.tools.size()));
    for (const auto& one : request.tools) out.text(one);
    out.number(request.max_calls);
    out.number(static_cast<std::uint8_t>(request.resumed.has_value()));
    if (request.resumed) {
        out.text(request.resumed->image);
        out.text(request.resumed->results);
        out.number(request.resumed->fuel_used);
        out.number(static_cast<std::int64_t>(request.resumed->wall.count()));
    }
    put(out, request.clock_ms);
    put(out, request.seed);
    return out.frame();
}

std::string encode_frame(const run_answer& answer, std::uint64_t number)
{
    constexpr std::size_t all_but_texts = 128;
    writer out{all_but_texts + answer.result.size() + answer.image.size()};
    out.number(number);
    out.number(static_cast<std::uint8_t>(answer.status));
    out.number(static_cast<std::uint8_t>(answer.stage));
    out.text(answer.result);
    out.number(static_cast<std::uint8_t>(answer.is_undefined));
    out.number(static_cast<std::uint8_t>(answer.thrown.is_error));
    out.text(answer.thrown.name);
    out.text(answer.thrown.message);
    out.text(answer.thrown.stack);
    out.text(answer.thrown.json);
    out.number(static_cast<std::uint32_t>(answer.console.size()));
    for (const auto& one : answer.console) {
        out.number(static_cast<std::uint8_t>(one.level));
        out.number(one.unix_ms);
        out.text(one.data);
        out.text(one.text);
    }
    out.number(static_cast<std::uint8_t>(answer.console_truncated));
    out.number(answer.fuel_used);
    out.number(answer.memory_bytes);
    out.number(static_cast<std::int64_t>(answer.wall.count()));
    out.text(answer.image);
    out.number(static_cast<std::uint32_t>(answer.calls.size()));
    for (const auto& one : answer.calls) {
        out.number(one.id);
        out.text(one.name);
        out.text(one.arguments);
    }
    put(out, answer.told_time ? std::optional<std::int64_t>{answer.told_time->count()} : std::nullopt);
    return out.frame();
}

std::uint64_t max_answer_bytes(const run_request& request) noexcept
{
    // Numbers, lengths, and the four texts of what was thrown.
    constexpr std::uint64_t others = 1U << 20;
    // A record's own numbers are fewer bytes than it is charged for.
    const std::uint64_t calls = request.tools.empty() ? 0 : std::uint64_t{request.max_calls} * longest_tool_name;
    return others + std::uint64_t{request.limits.console_bytes} + request.limits.result_bytes + request.image_bytes +
           calls;
}

std::uint32_t frame_size(std::string_view header) noexcept
{
    std::uint32_t size = 0;
    std::memcpy(&size, header.data(), sizeof size);
    return size;
}

result<numbered<run_request>> decode_request(std::string_view body)
{
    reader in{body};
    numbered<run_request> made;
    made.number = in.number<std::uint64_t>();
    run_request& request = made.message;
    const bool has_init = in.flag();
    std::string init = in.text();
    if (has_init) request.init_script = std::move(init);
    request.script = in.text();
    request.is_module = in.flag();
    for (auto left = in.count(8); left > 0; --left) {
        std::string name = in.text();
        request.modules.push_back({module_name(name), in.text()});
    }
    request.limits = take_limits(in);
    request.console_values = in.flag();
    request.image = in.text();
    request.image_bytes = in.number<std::uint32_t>();
    for (auto left = in.count(4); left > 0; --left) request.tools.push_back(in.text());
    request.max_calls = in.number<std::uint32_t>();
    if (in.flag()) {
        auto& resumed = request.resumed.emplace();
        resumed.image = in.text();
        resumed.results = in.text();
        resumed.fuel_used = in.number<std::int64_t>();
        resumed.wall = std::chrono::microseconds{in.number<std::int64_t>()};
    }
    request.clock_ms = take_optional(in);
    request.seed = take_optional(in);
    if (!in.complete()) return malformed("request");
    return made;
}

result<numbered<run_answer>> decode_answer(std::string_view body)
{
    reader in{body};
    numbered<run_answer> made;
    made.number = in.number<std::uint64_t>();
    run_answer& answer = made.message;
    answer.status = in.one_of<run_status>(run_status_count);
    answer.stage = in.one_of<run_stage>(2);
    answer.result = in.text();
    if (!is_json(answer.result)) in.fail();
    answer.is_undefined = in.flag();
    answer.thrown.is_error = in.flag();
    answer.thrown.name = in.utf8();
    answer.thrown.message = in.utf8();
    answer.thrown.stack = in.utf8();
    locate(answer.thrown);
    answer.thrown.json = in.text();
    if (!answer.thrown.json.empty() && !is_json(answer.thrown.json)) in.fail();
    for (auto left = in.count(17); left > 0; --left) {
        console_entry entry;
        entry.level = in.one_of<console_level>(console_level_count);
        entry.unix_ms = in.number<std::int64_t>();
        entry.data = in.text();
        if (!entry.data.empty() && !is_json_array(entry.data)) in.fail();
        entry.text = in.utf8();
        answer.console.push_back(std::move(entry));
    }
    answer.console_truncated = in.flag();
    answer.fuel_used = in.number<std::int64_t>();
    answer.memory_bytes = in.number<std::uint64_t>();
    answer.wall = std::chrono::microseconds{in.number<std::int64_t>()};
    if (answer.fuel_used < 0 || answer.wall.count() < 0) in.fail();
    answer.image = in.text();
    for (auto left = in.count(12); left > 0; --left) {
        tool_call call;
        call.id = in.number<std::uint32_t>();
        call.name = in.text();
        call.arguments = in.text();
        if (!is_json_array(call.arguments)) in.fail();
        answer.calls.push_back(std::move(call));
    }
    if (const auto told = take_optional(in)) answer.told_time = std::chrono::microseconds{*told};
    if (answer.told_time && answer.told_time->count() < 0) in.fail();
    if (!in.complete()) return malformed("answer");
    return made;
}

namespace {

// A call has a number of its own, a name that the request allows, and no more arguments than a result.
bool calls_keep_to(const run_answer& answer, const run_request& request) noexcept
{
    if ((answer.status == run_status::pending) != !answer.calls.empty()) return false;
    if (answer.calls.size() > request.max_calls) return false;
    std::uint64_t bytes = 0;
    std::uint32_t last = 0;
    for (const auto& call : answer.calls) {
        if (call.id <= last || std::ranges::find(request.tools, call.name) == request.tools.end()) return false;
        last = call.id;
        bytes += call.arguments.size() + tool_call_bytes;
    }
    return bytes <= request.limits.result_bytes;
}

}  // namespace

bool keeps_to(const run_answer& answer, const run_request& request) noexcept
{
    if (!calls_keep_to(answer, request)) return false;
    if (answer.told_time.has_value() && !request.clock_ms) return false;
    if (!request.tools.empty() && answer.fuel_used > request.limits.init_fuel + request.limits.fuel) return false;
    if (request.resumed && answer.status != run_status::fault && answer.fuel_used < request.resumed->fuel_used)
        return false;
    std::uint64_t console = 0;
    for (const auto& entry : answer.console) {
        if (entry.data.empty() == request.console_values) return false;
        if (!entry.text.empty() && request.console_values) return false;
        console += entry.data.size() + entry.text.size() + console_record_bytes;
    }
    constexpr std::size_t least_result = 16;  // numbers and words are not measured
    return answer.result.size() <= std::max<std::size_t>(request.limits.result_bytes, least_result) &&
           console <= request.limits.console_bytes && answer.image.size() <= request.image_bytes;
}

}  // namespace sandboxd::script
