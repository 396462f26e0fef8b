#include "base/log.hpp"

#include "base/utf8.hpp"

#include <boost/log/core.hpp>
#include <boost/log/keywords/severity.hpp>
#include <boost/log/sinks/sync_frontend.hpp>
#include <boost/log/sinks/text_ostream_backend.hpp>
#include <boost/log/sources/record_ostream.hpp>
#include <boost/log/sources/severity_logger.hpp>
#include <boost/make_shared.hpp>
#include <boost/smart_ptr/shared_ptr.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <ctime>
#include <ostream>
#include <streambuf>
#include <string>

namespace sandboxd::log {

namespace {

namespace blog = boost::log;

// Standard error behind a buffer. /dev/stderr cannot be opened again when it is a socket (the journal's),
// and std::cerr writes every piece at once.
class stderr_buffer : public std::streambuf {
public:
    stderr_buffer() { setp(bytes_.data(), bytes_.data() + bytes_.size()); }

protected:
    int_type overflow(int_type c) override
    {
        sync();
        if (!traits_type::eq_int_type(c, traits_type::eof())) {
            *pptr() = traits_type::to_char_type(c);
            pbump(1);
        }
        return traits_type::not_eof(c);
    }

    int sync() override
    {
        const char* from = pbase();
        while (from < pptr()) {
            const auto written = ::write(STDERR_FILENO, from, static_cast<std::size_t>(pptr() - from));
            if (written < 0) {
                if (errno == EINTR) continue;
                break;  // nobody reads the log: drop it rather than stop serving
            }
            from += written;
        }
        setp(bytes_.data(), bytes_.data() + bytes_.size());
        return 0;
    }

private:
    std::array<char, 16 * 1024> bytes_;
};

using backend = blog::sinks::text_ostream_backend;
using sink = blog::sinks::synchronous_sink<backend>;

struct state {
    level threshold{level::info};
    format shape{format::text};
    stderr_buffer buffer;
    std::ostream stream{&buffer};
    boost::shared_ptr<sink> output;
    blog::sources::severity_logger<level> logger;
};

state& the_state()
{
    static state instance;
    return instance;
}

void install(state& s)
{
    auto back = boost::make_shared<backend>();
    back->add_stream(boost::shared_ptr<std::ostream>(&s.stream, [](std::ostream*) {}));
    s.output = boost::make_shared<sink>(back);
    blog::core::get()->add_sink(s.output);
}

std::string_view level_name(level severity)
{
    switch (severity) {
        case level::debug: return "debug";
        case level::info: return "info";
        case level::warning: return "warning";
        case level::error: break;
    }
    return "error";
}

// RFC 3339, UTC, milliseconds. The seconds' text is kept from call to call.
std::string_view timestamp()
{
    static std::time_t second = -1;
    static std::array<char, 32> text{};
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != second) {
        std::tm parts{};
        ::gmtime_r(&now.tv_sec, &parts);
        std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S.000Z", &parts);
        second = now.tv_sec;
    }
    const auto millis = now.tv_nsec / 1'000'000;
    text[20] = static_cast<char>('0' + millis / 100);
    text[21] = static_cast<char>('0' + millis / 10 % 10);
    text[22] = static_cast<char>('0' + millis % 10);
    return {text.data(), 24};
}

// Escapes as JSON does, in both formats: quotes, backslashes and control characters.
void append_escaped(std::string& line, std::string_view text)
{
    static constexpr char digits[] = "0123456789abcdef";
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            line += '\\';
            line += c;
        } else if (c == '\n') {
            line += "\\n";
        } else if (c == '\t') {
            line += "\\t";
        } else if (octet < 0x20 || octet == 0x7f) {
            line += "\\u00";
            line += digits[octet >> 4];
            line += digits[octet & 0xf];
        } else {
            line += c;
        }
    }
}

bool is_plain(std::string_view text)
{
    if (text.empty()) return false;
    for (const char c : text) {
        if (static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '\\' || c == '=' || c == 0x7f) return false;
    }
    return true;
}

template <class Number>
void append_number(std::string& line, Number value)
{
    std::array<char, 32> digits{};
    char* end{};
    if constexpr (std::is_floating_point_v<Number>) {
        if (!std::isfinite(value)) {
            line += "null";  // what JSON has for it
            return;
        }
        constexpr double widest = 1e15;
        end = std::abs(value) < widest
                  ? std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::fixed, 3).ptr
                  : std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    } else {
        end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    }
    line.append(digits.data(), end);
}

void append_value(std::string& line, const field& f, format shape)
{
    if (const auto* text = std::get_if<std::string_view>(&f.value)) {
        if (shape == format::text && is_plain(*text)) {
            line += *text;
            return;
        }
        line += '"';
        append_escaped(line, *text);
        line += '"';
    } else if (const auto* integer = std::get_if<std::int64_t>(&f.value)) {
        append_number(line, *integer);
    } else if (const auto* real = std::get_if<double>(&f.value)) {
        append_number(line, *real);
    } else {
        line += std::get<bool>(f.value) ? "true" : "false";
    }
}

void compose(std::string& line, format shape, level severity, std::string_view message,
             std::initializer_list<field> fields)
{
    if (shape == format::json) {
        line += R"({"time":")";
        line += timestamp();
        line += R"(","level":")";
        line += level_name(severity);
        line += R"(","message":")";
        append_escaped(line, message);
        line += '"';
        for (const auto& f : fields) {
            if (f.only_in_json && std::get<std::string_view>(f.value).empty()) continue;
            line += ",\"";
            line += f.key;
            line += "\":";
            append_value(line, f, shape);
        }
        line += '}';
        return;
    }
    line += timestamp();
    line += ' ';
    line += level_name(severity);
    line += ' ';
    append_escaped(line, message);
    for (const auto& f : fields) {
        if (f.only_in_json) continue;
        line += ' ';
        line += f.key;
        line += '=';
        append_value(line, f, shape);
    }
}

}  // namespace

void init(level threshold, format shape)
{
    auto& s = the_state();
    s.threshold = threshold;
    s.shape = shape;
    if (!s.output) install(s);
}

format shape() noexcept { return the_state().shape; }

bool enabled(level severity) noexcept { return severity >= the_state().threshold; }

void write(level severity, std::string_view message, std::initializer_list<field> fields)
{
    auto& s = the_state();
    if (severity < s.threshold) return;
    if (!s.output) install(s);

    auto record = s.logger.open_record(blog::keywords::severity = severity);
    if (!record) return;
    static std::string line;
    line.clear();
    compose(line, s.shape, severity, message, fields);
    // Untrusted text may be any bytes; a line of JSON may not.
    if (std::any_of(line.begin(), line.end(), [](char c) { return (c & 0x80) != 0; }) && !is_valid_utf8(line))
        line = to_valid_utf8(line);
    blog::record_ostream out{record};
    out.write(line.data(), static_cast<std::streamsize>(line.size()));
    out.flush();
    s.logger.push_record(std::move(record));
    if (severity >= level::warning) flush();
}

void flush() { the_state().stream.flush(); }

}  // namespace sandboxd::log
