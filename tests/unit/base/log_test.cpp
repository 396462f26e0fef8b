#include "base/log.hpp"

#include "base/utf8.hpp"
#include "support/captured_stderr.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>

using namespace sandboxd;
using namespace sandboxd::test;
using namespace std::string_literals;
namespace json = boost::json;

namespace {

// One line as it is written, without its newline.
template <class Write>
std::string line_of(log::level threshold, log::format shape, Write write)
{
    log::init(threshold, shape);
    std::string text;
    {
        const captured_stderr captured;
        write();
        text = captured.text();
    }
    log::init(log::level::info, log::format::text);
    if (text.ends_with('\n')) text.pop_back();
    CHECK(text.find('\n') == std::string::npos);
    return text;
}

// Without the time in front, whose shape is checked.
std::string text_line(std::string_view message, std::initializer_list<log::field> fields = {})
{
    const auto line = line_of(log::level::info, log::format::text, [&] { log::info(message, fields); });
    REQUIRE(line.size() > 25);
    const std::string shape = "0000-00-00T00:00:00.000Z ";
    for (std::size_t i = 0; i < shape.size(); ++i) {
        CAPTURE(line, i);
        CHECK((shape[i] == '0' ? line[i] >= '0' && line[i] <= '9' : line[i] == shape[i]));
    }
    return line.substr(25);
}

json::object json_line(std::string_view message, std::initializer_list<log::field> fields = {})
{
    const auto line = line_of(log::level::info, log::format::json, [&] { log::info(message, fields); });
    CAPTURE(line);
    boost::system::error_code ec;
    const auto value = json::parse(line, ec);
    REQUIRE_FALSE(ec);
    return value.as_object();
}

// All control characters, what needs escaping, and what must pass as it is.
const std::string hostile = [] {
    std::string text;
    for (char c = 0; c < 0x20; ++c) text += c;
    return text + "\x7f\"\\=/ \xc3\xa9";
}();

const std::string hostile_escaped =
    "\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\u0008\\t\\n\\u000b\\u000c\\u000d\\u000e\\u000f"
    "\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001a\\u001b\\u001c\\u001d\\u001e"
    "\\u001f\\u007f\\\"\\\\=/ \xc3\xa9";

}  // namespace

TEST_CASE("text: level, message, fields", "[base][log]")
{
    CHECK(text_line("started") == "info started");
    CHECK(text_line("a b",
                    {{"s", "plain"}, {"i", -5}, {"u", std::uint16_t{65535}}, {"d", 1.25}, {"t", true}, {"f", false}}) ==
          "info a b s=plain i=-5 u=65535 d=1.250 t=true f=false");
}

TEST_CASE("text: a value is quoted when it could be read in two ways", "[base][log]")
{
    struct row {
        std::string value;
        const char* written;
    };
    const row rows[] = {
        {"plain", "k=plain"},
        {"/a/b?c;d&e", "k=/a/b?c;d&e"},
        {"caf\xc3\xa9", "k=caf\xc3\xa9"},
        {"", "k=\"\""},
        {"two words", "k=\"two words\""},
        {"a=b", "k=\"a=b\""},
        {"say \"hi\"", "k=\"say \\\"hi\\\"\""},
        {"back\\slash", "k=\"back\\\\slash\""},
        {"line\nbreak", "k=\"line\\nbreak\""},
        {"\r", "k=\"\\u000d\""},
        {"\x1b[31m", "k=\"\\u001b[31m\""},
        {"\x7f", "k=\"\\u007f\""},
        {"a\0b"s, "k=\"a\\u0000b\""},
    };
    for (const auto& row : rows) CHECK(text_line("m", {{"k", row.value}}) == "info m "s + row.written);
}

TEST_CASE("nobody forges a line, in either format", "[base][log]")
{
    const std::string forged = "x\n2026-01-01T00:00:00.000Z error the sky falls";
    CHECK(text_line(forged, {{"k", forged}}) ==
          "info x\\n2026-01-01T00:00:00.000Z error the sky falls "
          "k=\"x\\n2026-01-01T00:00:00.000Z error the sky falls\"");
    CHECK(text_line(hostile, {{"k", hostile}}) == "info " + hostile_escaped + " k=\"" + hostile_escaped + "\"");

    const auto object = json_line(hostile, {{"k", hostile}});
    CHECK(object.at("message").as_string() == hostile);
    CHECK(object.at("k").as_string() == hostile);
    CHECK(object.size() == 4);
}

TEST_CASE("json: one object a line with all kinds of values", "[base][log]")
{
    const auto object = json_line("done", {{"s", "a b"},
                                           {"i", std::numeric_limits<std::int64_t>::min()},
                                           {"d", 0.0625},
                                           {"t", true},
                                           {"f", false},
                                           {"empty", ""}});
    CHECK(object.at("level").as_string() == "info");
    CHECK(object.at("message").as_string() == "done");
    CHECK(object.at("time").as_string().size() == 24);
    CHECK(object.at("s").as_string() == "a b");
    CHECK(object.at("i").as_int64() == std::numeric_limits<std::int64_t>::min());
    CHECK(object.at("d").as_double() > 0.06);
    CHECK(object.at("t").as_bool());
    CHECK_FALSE(object.at("f").as_bool());
    CHECK(object.at("empty").as_string().empty());
}

TEST_CASE("a field for machines is in lines of JSON alone, where it has a value", "[base][log]")
{
    const auto given = json_line("m", {{"a", 1}, log::in_json("trace_id", "4bf9\""), {"b", 2}});
    CHECK(given.size() == 6);
    CHECK(given.at("trace_id").as_string() == "4bf9\"");
    CHECK(given.at("b").as_int64() == 2);
    CHECK_FALSE(json_line("m", {log::in_json("trace_id", {})}).contains("trace_id"));
    CHECK(text_line("m", {{"a", 1}, log::in_json("trace_id", "4bf9"), {"b", 2}}) == "info m a=1 b=2");
}

TEST_CASE("numbers that are hard to write leave a line that can be read", "[base][log]")
{
    using limits = std::numeric_limits<double>;
    for (const double value : {limits::max(), limits::lowest(), limits::infinity(), -limits::infinity(),
                               limits::quiet_NaN(), limits::min()}) {
        CAPTURE(value);
        const auto line = text_line("m", {{"k", value}});
        CHECK(std::ranges::none_of(line, [](char c) { return c >= 0 && c < 0x20; }));
        CHECK(json_line("m", {{"k", value}}).contains("k"));
    }
}

TEST_CASE("bytes that are no UTF-8 leave a line that is", "[base][log]")
{
    const auto line = text_line("m\xff", {{"k", "\xc3("}});
    CHECK(is_valid_utf8(line));
    CHECK(line == "info m\xef\xbf\xbd k=\xef\xbf\xbd(");
    const auto object = json_line("m\xff", {{"k", "\xed\xa0\x80z"}});
    CHECK(object.at("message").as_string() == "m\xef\xbf\xbd");
    CHECK(object.at("k").as_string().ends_with("z"));
}

TEST_CASE("below the threshold nothing is written", "[base][log]")
{
    struct row {
        log::level threshold;
        const char* expected;
    };
    const row rows[] = {
        {log::level::debug, "debug d|info i|warning w|error e|"},
        {log::level::info, "info i|warning w|error e|"},
        {log::level::warning, "warning w|error e|"},
        {log::level::error, "error e|"},
    };
    for (const auto& row : rows) {
        log::init(row.threshold, log::format::text);
        const captured_stderr captured;
        log::debug("d");
        log::info("i");
        log::warning("w");
        log::error("e");
        std::string lines;
        for (auto text = captured.text(); !text.empty(); text.erase(0, text.find('\n') + 1))
            lines += text.substr(25, text.find('\n') - 25) + "|";
        CHECK(lines == row.expected);
        CHECK(log::enabled(row.threshold));
        CHECK(log::enabled(log::level::error));
        CHECK(log::enabled(log::level::debug) == (row.threshold == log::level::debug));
    }
    log::init(log::level::info, log::format::text);
}

TEST_CASE("a warning is written at once, with what was held back before it", "[base][log]")
{
    const captured_stderr captured;
    log::info("first");
    log::warning("second");
    const auto text = captured.text(false);
    CHECK(text.find("info first\n") < text.find("warning second\n"));
    CHECK(text.ends_with("warning second\n"));
}

TEST_CASE("a line longer than any buffer comes out whole", "[base][log]")
{
    const std::string message(100'000, 'x');
    CHECK(text_line(message) == "info " + message);
}
