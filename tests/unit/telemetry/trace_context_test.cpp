#include "telemetry/trace_context.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd::telemetry;

namespace {

const std::string trace = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string span = "00f067aa0ba902b7";
const std::string valid = "00-" + trace + "-" + span + "-01";

struct row {
    std::string value;
    bool is_valid;
    bool sampled{false};
};

std::string combined(const std::vector<std::string_view>& values) { return read_tracestate(values); }

std::string entry(const std::string& key, std::size_t bytes)
{
    return key + "=" + std::string(bytes - key.size() - 1, 'v');
}

}  // namespace

TEST_CASE("a traceparent is what the specification says, to the character", "[telemetry]")
{
    const row rows[] = {
        {valid, true, true},
        {"00-" + trace + "-" + span + "-00", true},
        // Of the flags one is known.
        {"00-" + trace + "-" + span + "-02", true},
        {"00-" + trace + "-" + span + "-03", true, true},
        {"00-" + trace + "-" + span + "-09", true, true},
        {"00-" + trace + "-" + span + "-fe", true},
        {"00-" + trace + "-" + span + "-ff", true, true},
        // Later versions: the known part counts, and the rest does not.
        {"01-" + trace + "-" + span + "-01", true, true},
        {"cc-" + trace + "-" + span + "-00", true},
        {"fe-" + trace + "-" + span + "-01", true, true},
        {"cc-" + trace + "-" + span + "-01-what-the-future-will-be-like", true, true},
        {"cc-" + trace + "-" + span + "-01-", true, true},
        {"cc-" + trace + "-" + span + "-01-" + std::string(10'000, 'x'), true, true},
        {"cc-" + trace + "-" + span + "-01.what-the-future-will-be-like", false},
        {"cc-" + trace + "-" + span + "-01x", false},
        {"cc-" + trace + "-" + span + "-0", false},
        {"cc-" + trace + "-" + span, false},
        // Version 00 ends with its flags.
        {valid + "-", false},
        {valid + "-what-the-future-will-be-like", false},
        {valid + ".", false},
        {valid + "0", false},
        {valid + " ", false},
        {" " + valid, false},
        // Versions that are none.
        {"ff-" + trace + "-" + span + "-01", false},
        {"ff-" + trace + "-" + span + "-01-x", false},
        {"FF-" + trace + "-" + span + "-01", false},
        {"0G-" + trace + "-" + span + "-01", false},
        {".0-" + trace + "-" + span + "-01", false},
        {"0.-" + trace + "-" + span + "-01", false},
        {"0-" + trace + "-" + span + "-01", false},
        {"000-" + trace + "-" + span + "-01", false},
        {"CC-" + trace + "-" + span + "-01", false},
        // Ids of zeros, of other characters, of another length.
        {"00-" + std::string(32, '0') + "-" + span + "-01", false},
        {"00-" + trace + "-" + std::string(16, '0') + "-01", false},
        {"cc-" + std::string(32, '0') + "-" + span + "-01", false},
        {"00-" + std::string(31, '0') + "1-" + span + "-01", true, true},
        {"00-" + trace + "-" + std::string(15, '0') + "1-01", true, true},
        {"00-4BF92F3577B34DA6A3CE929D0E0E4736-" + span + "-01", false},
        {"00-" + trace + "-00F067AA0BA902B7-01", false},
        {"00-." + trace.substr(1) + "-" + span + "-01", false},
        {"00-" + trace.substr(1) + ".-" + span + "-01", false},
        {"00-" + trace + "-." + span.substr(1) + "-01", false},
        {"00-" + trace + "0-" + span + "-01", false},
        {"00-" + trace.substr(1) + "-" + span + "-01", false},
        {"00-" + trace.substr(1) + "-0" + span + "-01", false},
        {"00-" + trace + "-" + span + "0-01", false},
        {"00-" + trace + "-" + span.substr(1) + "-01", false},
        // Flags.
        {"00-" + trace + "-" + span + "-1", false},
        {"00-" + trace + "-" + span + "-001", false},
        {"00-" + trace + "-" + span + "-.0", false},
        {"00-" + trace + "-" + span + "-0.", false},
        {"00-" + trace + "-" + span + "-0A", false},
        {"00-" + trace + "-" + span + "-", false},
        // Dashes.
        {"00_" + trace + "-" + span + "-01", false},
        {"00-" + trace + "_" + span + "-01", false},
        {"00-" + trace + "-" + span + "_01", false},
        {std::string(55, '-'), false},
        // Nothing.
        {"", false},
        {"00", false},
        {"00-", false},
        {trace, false},
        {"00-" + trace + "-" + span + "-0" + std::string(1, '\0'), false},
        {valid + ", " + valid, false},
    };
    for (const auto& one : rows) {
        CAPTURE(one.value);
        const auto read = read_traceparent(one.value);
        REQUIRE(read.has_value() == one.is_valid);
        if (!read) continue;
        CHECK(read->sampled == one.sampled);
        CHECK(text_of(read->trace) == one.value.substr(3, 32));
        CHECK(text_of(read->span) == one.value.substr(36, 16));
        // What is written is version 00, with no flag but the known one.
        const auto written = write_traceparent(*read);
        CHECK(written == "00-" + one.value.substr(3, 49) + (one.sampled ? "-01" : "-00"));
        CHECK(written.size() == traceparent_bytes);
        CHECK(read_traceparent(written) == read);
    }
}

TEST_CASE("fields of a tracestate become one, and one that is not valid is none", "[telemetry]")
{
    struct state_row {
        std::vector<std::string_view> given;
        std::string expected;
    };
    const std::string key256(256, 'k');
    const std::string tenant241(241, 't');
    const std::string value256(256, 'v');
    const std::string longest = "a=" + value256;
    const std::string long_key = key256 + "=1";
    const std::string with_tenant = tenant241 + "@" + std::string(14, 's') + "=1";
    const std::string too_long_key = "k" + key256 + "=1";
    const std::string too_long_tenant = "t" + tenant241 + "@s=1";
    const std::string too_long_system = "t@" + std::string(15, 's') + "=1";
    const std::string too_long_value = "a=v" + value256;
    const std::string all_of_key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/=1";
    const std::string all_of_tenant = "0abcdefghijklmnopqrstuvwxyz0123456789_-*/@a-z0-9_-*/=1";
    std::string all_of_value = "a=";
    for (char c = ' '; c <= '~'; ++c)
        if (c != ',' && c != '=') all_of_value += c;
    const state_row rows[] = {
        {{}, ""},
        {{""}, ""},
        {{" \t", ",", " , ,"}, ""},
        {{"congo=t61rcWkgMzE"}, "congo=t61rcWkgMzE"},
        {{"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"}, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"},
        {{"foo=1,bar=2", "rojo=1,congo=2", "baz=3"}, "foo=1,bar=2,rojo=1,congo=2,baz=3"},
        {{"foo=1", ""}, "foo=1"},
        {{"", "foo=1"}, "foo=1"},
        {{"foo=1 \t , \t bar=2, \t baz=3"}, "foo=1,bar=2,baz=3"},
        {{"\t foo=1 \t"}, "foo=1"},
        // Blanks before a value are its own.
        {{"foo= 1 "}, "foo= 1"},
        {{longest}, longest},
        {{long_key}, long_key},
        {{with_tenant}, with_tenant},
        {{all_of_key}, all_of_key},
        {{all_of_tenant}, all_of_tenant},
        {{all_of_value}, all_of_value},
        // All of it is left out for one mistake.
        {{"foo=1,foo=1"}, ""},
        {{"foo=1", "foo=2"}, ""},
        {{"foo=1,bar"}, ""},
        {{"foo=1,=2"}, ""},
        {{"foo="}, ""},
        {{"foo= "}, ""},
        {{"foo =1"}, ""},
        {{"FOO=1"}, ""},
        {{"foo.bar=1"}, ""},
        {{"1foo=1"}, ""},
        {{"foo@=1,bar=2"}, ""},
        {{"@foo=1,bar=2"}, ""},
        {{"foo@@bar=1,bar=2"}, ""},
        {{"foo@bar@baz=1,bar=2"}, ""},
        {{"foo@1bar=1"}, ""},
        {{"foo=bar=baz"}, ""},
        {{"foo=\xc3\xa9"}, ""},
        {{"foo=a\x7f"}, ""},
        {{"foo=a\tb"}, ""},
        {{too_long_key}, ""},
        {{too_long_tenant}, ""},
        {{too_long_system}, ""},
        {{too_long_value}, ""},
    };
    for (const auto& one : rows) {
        CAPTURE(one.expected, one.given.size(), one.given.empty() ? std::string_view{} : one.given.front());
        CHECK(combined(one.given) == one.expected);
    }
}

TEST_CASE("a tracestate has at most 32 entries and is passed on as far as 512 bytes", "[telemetry]")
{
    std::string list;
    for (int i = 0; i < 32; ++i) list += (i == 0 ? "k" : ",k") + std::to_string(i) + "=1";
    CHECK(combined({list}) == list);
    CHECK(combined({list, "one=more"}).empty());
    CHECK(combined({list, " ,"}) == list);

    // Entries are left out as a whole: those of more than 128 bytes first, then those at the end.
    const auto a = entry("a", 128);
    const auto b = entry("b", 129);
    const auto c = entry("c", 128);
    const auto d = entry("d", 200);
    const auto e = entry("e", 125);
    CHECK(combined({a + "," + b + "," + c + "," + e}) == a + "," + c + "," + e);
    CHECK(combined({a + "," + b + "," + c + "," + d}) == a + "," + b + "," + c);
    CHECK(combined({d + "," + a + "," + c}) == d + "," + a + "," + c);
    std::string many;
    for (int i = 10; i < 32; ++i) many += (i == 10 ? "" : ",") + entry("k" + std::to_string(i), 40);
    const auto kept = combined({many});
    CHECK(kept == many.substr(0, kept.size()));
    CHECK(kept.size() == 12 * 41 - 1);
    CHECK(many[kept.size()] == ',');
    // Exactly so many fit.
    const auto exact = a + "," + c + "," + entry("x", 127) + "," + entry("y", 126);
    REQUIRE(exact.size() == most_tracestate_bytes);
    CHECK(combined({exact}) == exact);
    CHECK(combined({exact.substr(0, exact.size() - 1) + "vv"}) == a + "," + c + "," + entry("x", 127));
}
