#include "config/sandbox_names.hpp"

#include "base/ascii.hpp"

// Its headers alone, here alone; errors as values.
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#endif
#include <toml++/toml.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

namespace sandboxd::config {

namespace {

constexpr std::int64_t ms_most = 7LL * 24 * 3600 * 1000;

// `addr` holds both. A Unix socket has neither, and gives way to them.
struct host_and_port {
    std::string host;
    std::string port;
};
host_and_port split(const std::string& addr)
{
    const auto colon = addr.rfind(':');
    if (addr.starts_with("unix:") || colon == std::string::npos) return {"", "8080"};
    return {addr.substr(0, colon), addr.substr(colon + 1)};
}

result<void> set_host(settings& into, std::string_view host)
{
    const bool plain = !host.empty() && std::ranges::all_of(host, [](char c) {
        return is_alphanumeric(c) || c == '.' || c == ':' || c == '-' || c == '_' || c == '[' || c == ']';
    });
    if (!plain)
        return invalid_request("'" + std::string{host} + "' is not a host; use a name or an address such as 127.0.0.1");
    const bool bare_v6 = host.find(':') != std::string_view::npos && !host.starts_with('[');
    into.addr = (bare_v6 ? "[" + std::string{host} + "]" : std::string{host}) + ":" + split(into.addr).port;
    return {};
}

result<void> set_port(settings& into, std::int64_t port)
{
    into.addr = split(into.addr).host + ":" + std::to_string(port);
    return {};
}

// A default must not exceed its maximum, which these services do not have.
result<void> set_timeout(settings& into, std::int64_t ms)
{
    into.sandboxes.timeout_ms = ms;
    into.sandboxes.max_timeout_ms = std::max(into.sandboxes.max_timeout_ms, ms);
    return {};
}

result<void> set_memory(settings& into, std::int64_t mb)
{
    into.sandboxes.memory_mb = mb;
    into.sandboxes.max_memory_mb = std::max(into.sandboxes.max_memory_mb, mb);
    return {};
}

result<void> set_concurrent(settings& into, std::int64_t count)
{
    into.sandboxes.max_concurrent_sandboxes = count;
    return {};
}

result<void> set_interval(settings& into, std::int64_t secs)
{
    into.sandboxes.cleanup_interval_secs = secs;
    return {};
}

result<void> set_level(settings& into, std::string_view level)
{
    const auto known = parse_level(level);
    if (!known) return known.error();
    into.log.level = name_of(*known);
    return {};
}

result<void> set_format(settings& into, std::string_view format)
{
    const auto known = parse_format(format);
    if (!known) return known.error();
    into.log.format = name_of(*known);
    return {};
}

struct row {
    std::string_view section;
    std::string_view key;
    const char* variable;   // null: there is none
    std::string_view ours;  // the key of config.hpp that it stands for
    // One of the two; the bounds are the number's.
    result<void> (*set_text)(settings&, std::string_view);
    result<void> (*set_number)(settings&, std::int64_t);
    std::int64_t low;
    std::int64_t high;
};

constexpr std::array<row, 9> table{{
    {"server", "host", "SANDBOX_HOST", "addr", set_host, nullptr, 0, 0},
    {"server", "port", "SANDBOX_PORT", "addr", nullptr, set_port, 0, 65'535},
    {"sandbox", "backend", "SANDBOX_BACKEND", "jail", set_backend, nullptr, 0, 0},
    {"sandbox", "default_timeout_ms", "SANDBOX_TIMEOUT_MS", "sandboxes.timeoutMs", nullptr, set_timeout, 1, ms_most},
    {"sandbox", "default_memory_limit_mb", "SANDBOX_MEMORY_LIMIT_MB", "sandboxes.memoryMB", nullptr, set_memory, 1,
     mib_most},
    {"sandbox", "max_concurrent_sandboxes", nullptr, "sandboxes.maxConcurrentSandboxes", nullptr, set_concurrent, 1,
     1'000'000},
    {"sandbox", "cleanup_interval_seconds", nullptr, "sandboxes.cleanupIntervalSecs", nullptr, set_interval, 1,
     ms_most / 1000},
    {"logging", "level", "LOG_LEVEL", "log.level", set_level, nullptr, 0, 0},
    {"logging", "format", "LOG_FORMAT", "log.format", set_format, nullptr, 0, 0},
}};

std::string bounds(const row& of)
{
    return "must be a whole number from " + std::to_string(of.low) + " to " + std::to_string(of.high);
}

std::string place(const toml::source_position& where)
{
    return "line " + std::to_string(where.line) + ", column " + std::to_string(where.column) + ": ";
}

std::string known_names(std::string_view section)
{
    std::string names;
    for (const auto& one : table)
        if (one.section == section) names += (names.empty() ? "" : ", ") + std::string{one.key};
    return names;
}

std::string kind_of(const toml::node& value)
{
    std::ostringstream text;
    text << value.type();
    return text.str();
}

result<void> read_value(settings& into, std::string_view section, std::string_view key, const toml::node& value)
{
    const auto path = std::string{section} + "." + std::string{key};
    const auto found =
        std::ranges::find_if(table, [&](const row& one) { return one.section == section && one.key == key; });
    if (found == table.end())
        return invalid_request(path + " is not known; [" + std::string{section} + "] has " + known_names(section));
    if (found->set_text) {
        const auto* const text = value.as_string();
        if (!text) return invalid_request(path + " must be a string, not of type " + kind_of(value));
        if (auto set = found->set_text(into, text->get()); !set)
            return invalid_request(path + ": " + set.error().message);
        into.written_as.insert_or_assign(std::string{found->ours}, path);
        return {};
    }
    const auto* const number = value.as_integer();
    if (!number || number->get() < found->low || number->get() > found->high)
        return invalid_request(path + " " + bounds(*found) +
                               (number ? ", not " + std::to_string(number->get()) : ", not of type " + kind_of(value)));
    into.written_as.insert_or_assign(std::string{found->ours}, path);
    return found->set_number(into, number->get());
}

// logging.format, even if the text is not TOML: up to a few lines that the parser rejects are left out.
std::optional<log::format> format_in(std::string_view text)
{
    constexpr int most_lines = 8;
    std::string rest{text};
    for (int tries = 0; tries < most_lines; ++tries) {
        const auto parsed = toml::parse(rest);
        if (parsed) {
            const auto format = parsed.table()["logging"]["format"].value<std::string>();
            if (!format) return std::nullopt;
            const auto known = parse_format(*format);
            return known ? std::optional{*known} : std::nullopt;
        }
        const auto line = parsed.error().source().begin.line;
        std::size_t start = 0;
        for (toml::source_index at = 1; at < line && start != std::string::npos; ++at) {
            start = rest.find('\n', start);
            if (start != std::string::npos) ++start;
        }
        if (start >= rest.size()) return std::nullopt;
        const auto end = std::min(rest.find('\n', start), rest.size());
        std::fill(rest.begin() + static_cast<std::ptrdiff_t>(start), rest.begin() + static_cast<std::ptrdiff_t>(end),
                  ' ');
    }
    return std::nullopt;
}

}  // namespace

findings parse_toml_into(settings& into, std::string_view text)
{
    findings found;
    found.format = format_in(text);
    const auto parsed = toml::parse(text);
    if (!parsed) {
        found.readable = false;
        found.problems.push_back(place(parsed.error().source().begin) + "not TOML (" +
                                 std::string{parsed.error().description()} + ")");
        return found;
    }
    struct problem {
        toml::source_position where;
        std::string what;
    };
    std::vector<problem> problems;
    for (const auto& [name, value] : parsed.table()) {
        const auto section = name.str();
        const auto* const members = value.as_table();
        if (known_names(section).empty() || !members) {
            problems.push_back({value.source().begin,
                                std::string{section} + (members ? " is not a known section" : " must be a section") +
                                    "; there are [server], [sandbox] and [logging]" +
                                    " (every other key needs a file of JSON, see config.json.example)"});
            continue;
        }
        for (const auto& [key, member] : *members)
            if (auto read = read_value(into, section, key.str(), member); !read)
                problems.push_back({member.source().begin, read.error().message});
    }
    // The parser orders them by name; the reader of the file expects them by line.
    std::ranges::sort(problems, {}, [](const problem& one) { return std::pair{one.where.line, one.where.column}; });
    for (const auto& one : problems) found.problems.push_back(place(one.where) + one.what);
    return found;
}

result<void> set_backend(settings& into, std::string_view name)
{
    if (auto known = check_jail(name); !known) return known;
    into.jail = name;
    into.nsjail_enabled = false;
    return {};
}

std::vector<std::string> apply_environment(settings& into, const std::function<const char*(const char*)>& lookup)
{
    std::vector<std::string> problems;
    for (const auto& one : table) {
        const char* const given = one.variable ? lookup(one.variable) : nullptr;
        if (!given || !*given) continue;
        into.written_as.insert_or_assign(std::string{one.ours}, one.variable);
        const std::string_view text{given};
        result<void> set;
        if (one.set_text) {
            set = one.set_text(into, text);
        } else {
            std::int64_t number = 0;
            const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
            if (ec != std::errc{} || end != text.data() + text.size() || number < one.low || number > one.high)
                set = invalid_request(bounds(one) + ", not '" + std::string{text} + "'");
            else
                set = one.set_number(into, number);
        }
        if (!set) problems.push_back(std::string{one.variable} + ": " + set.error().message);
    }
    return problems;
}

result<settings> parse_toml(std::string_view text)
{
    settings into;
    if (auto read = parse_toml_into(into, text); !read.problems.empty())
        return invalid_request(std::move(read.problems.front()));
    return into;
}

}  // namespace sandboxd::config
