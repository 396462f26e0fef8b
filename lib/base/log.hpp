// The log: one line an event on standard error, as text or as JSON, through Boost.Log's synchronous sink
// (the asynchronous one would start a thread).
//
// Levels: error for what the operator must mend, warning for what a client did wrong or a limit that was
// hit, info for the happy path (one line a request), debug for the rest.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <variant>

namespace sandboxd::log {

enum class level { debug, info, warning, error };
enum class format { text, json };

// A named value beside the message: `{"route", "/compile"}`, `{"status", 200}`.
struct field {
    std::string_view key;
    std::variant<std::string_view, std::int64_t, double, bool> value;
    bool only_in_json{false};

    field(std::string_view k, std::string_view v) : key{k}, value{v} {}
    field(std::string_view k, const char* v) : key{k}, value{std::string_view{v}} {}
    field(std::string_view k, double v) : key{k}, value{v} {}
    field(std::string_view k, bool v) : key{k}, value{v} {}
    template <class Integer>
        requires std::is_integral_v<Integer>
    field(std::string_view k, Integer v) : key{k}, value{static_cast<std::int64_t>(v)}
    {
    }
};

// A field that lines of JSON alone have, and only where it is not empty: for who puts the lines of many servers
// together.
inline field in_json(std::string_view key, std::string_view value)
{
    field made{key, value};
    made.only_in_json = true;
    return made;
}

// Installs the sink; until then lines of level info and above go to standard error as text.
void init(level threshold, format shape);

bool enabled(level severity) noexcept;
format shape() noexcept;

// Writes one line. Control characters in values are escaped, so a client cannot forge a line. Lines below
// `warning` may sit in a buffer until `flush` or until the buffer is full; the rest are written at once.
void write(level severity, std::string_view message, std::initializer_list<field> fields = {});

inline void debug(std::string_view m, std::initializer_list<field> f = {}) { write(level::debug, m, f); }
inline void info(std::string_view m, std::initializer_list<field> f = {}) { write(level::info, m, f); }
inline void warning(std::string_view m, std::initializer_list<field> f = {}) { write(level::warning, m, f); }
inline void error(std::string_view m, std::initializer_list<field> f = {}) { write(level::error, m, f); }

void flush();

}  // namespace sandboxd::log
