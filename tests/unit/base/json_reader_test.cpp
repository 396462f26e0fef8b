#include "base/json_reader.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace sandboxd;
using kind = json_fault::kind;

namespace {

// One member of every sort.
struct everything {
    std::string text{"kept"};
    std::optional<std::string> optional_text;
    bool flag{false};
    std::int64_t number{77};
    std::optional<std::int64_t> optional_number;
    std::optional<double> real;
    std::vector<std::string> texts{"kept"};
    std::vector<std::pair<std::string, std::string>> map;
    std::string inner;
    struct item {
        std::string path;
        std::int64_t mode{0};
        std::vector<std::string> tags;
    };
    std::vector<item> items;

    json_members members()
    {
        json_members root;
        root.text("text", text);
        root.text("optional_text", optional_text);
        root.boolean("flag", flag);
        root.number("number", number, 1, 10);
        root.number("optional_number", optional_number, -5, 5);
        root.number("real", real, 0, 1.5);
        root.texts("texts", texts);
        root.text_map("map", map).at_most(3);
        root.object("object", [this](json_members& its) { its.text("inner", inner); });
        root.objects<item>(
            "items", items,
            [](item& one, json_members& its) {
                its.text("path", one.path).required();
                its.number("mode", one.mode, 0, 7);
                its.texts("tags", one.tags);
            },
            "an object with a path");
        return root;
    }
};

std::string fault_of(std::string_view body, const json_limits& limits = {})
{
    everything into;
    auto root = into.members();
    const auto fault = read_json(body, root, limits);
    if (!fault) return "taken";
    switch (fault->what) {
        case kind::syntax: return "syntax";
        case kind::no_object: return "no object";
        case kind::too_many: return "too many: " + fault->message;
        case kind::member:
        case kind::too_long: break;
    }
    return fault->message;
}

std::string with(std::string_view name, std::string_view value)
{
    return "{\"" + std::string{name} + "\": " + std::string{value} + "}";
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

}  // namespace

TEST_CASE("what is asked for is read, the rest is skipped", "[base][json_reader]")
{
    everything into;
    auto root = into.members();
    const auto fault = read_json(R"( {
        "unknown": {"text": "not this", "deep": [{"text": 1}, [[]], null, -1e3, "\n\ud83d\ude00"]},
        "text": "a\u0000b\u00e9\n", "optional_text": "", "flag": true, "number": 3.0, "optional_number": -5,
        "real": 0.5, "texts": ["", "y\t"], "map": {"": "1", "b\u0020c": "2"}, "\u006fbject": {"inner": "x", "z": {}},
        "items": [{"more": [1, {"path": 2}], "path": "p", "mode": 7, "tags": ["t"]}, {"path": ""}], "texts2": [1]} )",
                                 root);
    REQUIRE_FALSE(fault);
    CHECK(into.text == std::string{"a\0b\xc3\xa9\n", 6});
    CHECK(into.optional_text == "");
    CHECK(into.flag);
    CHECK(into.number == 3);
    CHECK(into.optional_number == -5);
    CHECK(into.real == 0.5);
    CHECK(into.texts == std::vector<std::string>{"", "y\t"});
    CHECK(into.map == std::vector<std::pair<std::string, std::string>>{{"", "1"}, {"b c", "2"}});
    CHECK(into.inner == "x");
    REQUIRE(into.items.size() == 2);
    CHECK(into.items[0].path == "p");
    CHECK(into.items[0].mode == 7);
    CHECK(into.items[0].tags == std::vector<std::string>{"t"});
    CHECK(into.items[1].path.empty());
    CHECK(root.has("text"));
    CHECK_FALSE(root.has("unknown"));
}

TEST_CASE("what is absent leaves its target alone, and so does null where it may stand", "[base][json_reader]")
{
    for (const auto* body : {"{}", R"({"optional_text": null, "optional_number": null, "real": null})"}) {
        everything into;
        auto root = into.members();
        REQUIRE_FALSE(read_json(body, root));
        CHECK(into.text == "kept");
        CHECK(into.number == 77);
        CHECK(into.texts == std::vector<std::string>{"kept"});
        CHECK_FALSE(into.optional_text);
        CHECK_FALSE(into.optional_number);
        CHECK_FALSE(root.has("text"));
    }
    bool flag = true;
    std::vector<std::string> texts;
    json_members root;
    root.boolean("flag", flag).or_null();
    root.texts("texts", texts).or_null();
    CHECK_FALSE(read_json(R"({"flag": null, "texts": null})", root));
    CHECK(root.has("flag"));
    CHECK(flag);
}

TEST_CASE("each member refuses the other kinds by name and path", "[base][json_reader]")
{
    struct value {
        const char* text;
        const char* named;
    };
    const value values[] = {
        {"null", "null"},
        {"true", "a boolean"},
        {"1", "an integer"},
        {"18446744073709551615", "an integer"},
        {"1.25", "a number with a fraction"},
        {"\"s\"", "a string"},
        {"\"s\\n\"", "a string"},
        {"[]", "an array"},
        {"{}", "an object"},
    };
    struct row {
        const char* name;
        const char* wanted;
        std::vector<std::string_view> fine;
    };
    const row rows[] = {
        {"text", "a string", {"\"s\"", "\"s\\n\""}},
        {"optional_text", "a string", {"\"s\"", "\"s\\n\"", "null"}},
        {"flag", "true or false", {"true"}},
        {"texts", "an array", {"[]"}},
        {"map", "an object", {"{}"}},
        {"object", "an object", {"{}"}},
        {"items", "an array", {"[]"}},
    };
    for (const auto& row : rows) {
        for (const auto& value : values) {
            CAPTURE(row.name, value.text);
            const bool is_fine = std::ranges::find(row.fine, std::string_view{value.text}) != row.fine.end();
            const auto expected = std::string{row.name} + " must be " + row.wanted + ", not " + value.named;
            CHECK(fault_of(with(row.name, value.text)) == (is_fine ? "taken" : expected));
        }
    }
}

TEST_CASE("numbers are read: kinds and ranges", "[base][json_reader]")
{
    struct row {
        const char* name;
        const char* value;
        const char* expected;
    };
    const row rows[] = {
        {"number", "1", "taken"},
        {"number", "10", "taken"},
        {"number", "1e1", "taken"},
        {"number", "0", "number must be between 1 and 10"},
        {"number", "11", "number must be between 1 and 10"},
        {"number", "9223372036854775807", "number must be between 1 and 10"},
        {"number", "-9223372036854775808", "number must be between 1 and 10"},
        {"number", "18446744073709551615", "number must be between 1 and 10"},
        {"number", "1.5", "number must be an integer, not a number with a fraction"},
        {"number", "1e30", "number must be an integer, not a number with a fraction"},
        {"number", "null", "number must be an integer, not null"},
        {"number", "\"3\"", "number must be an integer, not a string"},
        {"number", "[3]", "number must be an integer, not an array"},
        {"number", "{}", "number must be an integer, not an object"},
        {"number", "true", "number must be an integer, not a boolean"},
        {"optional_number", "-6", "optional_number must be between -5 and 5"},
        {"optional_number", "{}", "optional_number must be an integer, not an object"},
        {"real", "1", "taken"},
        {"real", "1.5", "taken"},
        {"real", "1.6", "real must be a number from 0 to 1.5"},
        {"real", "-1", "real must be a number from 0 to 1.5"},
        {"real", "18446744073709551615", "real must be a number from 0 to 1.5"},
        {"real", "\"1\"", "real must be a number from 0 to 1.5"},
        {"real", "[1]", "real must be a number from 0 to 1.5"},
        {"text", "123456789012345678901234567890", "text must be a string, not a number with a fraction"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.name, row.value);
        CHECK(fault_of(with(row.name, row.value)) == row.expected);
    }
    const auto digits = std::string(100'000, '7');
    CHECK(fault_of(with("unknown", digits)) == "taken");
    CHECK(fault_of(with("number", digits)) != "taken");
    std::int64_t least = 0;
    json_members root;
    root.number("n", least, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
    CHECK_FALSE(read_json(R"({"n": -9223372036854775808})", root));
    CHECK(least == std::numeric_limits<std::int64_t>::min());
}

TEST_CASE("one item too many ends the reading", "[base][json_reader]")
{
    struct item {
        std::string path;
    };
    std::size_t described = 0;
    // What follows is no JSON, and nobody sees it.
    const auto read = [&described](const std::string& body) {
        std::vector<std::string> words;
        std::vector<item> items;
        std::vector<std::pair<std::string, std::string>> map;
        json_members root;
        root.texts("words", words).at_most(2);
        root.objects<item>("items", items,
                           [&described](item& one, json_members& its) {
                               ++described;
                               its.text("path", one.path);
                           })
            .at_most(2, {errc::payload_too_large, "more than 2 files"});
        root.text_map("map", map).at_most(2);
        const auto fault = read_json(body, root);
        CHECK(words.size() <= 2);
        CHECK(items.size() <= 2);
        CHECK(map.size() <= 2);
        return fault;
    };
    CHECK_FALSE(read(R"({"words": ["a", "b"], "items": [{}, {}], "map": {"a": "", "b": ""}})"));
    CHECK(described == 2);
    struct row {
        std::string body;
        std::string message;
        errc code;
    };
    for (const auto& [body, message, code] :
         {row{R"({"words": ["a", "b", "c", !)", "words has more than 2 items", errc::invalid_request},
          row{R"({"words": ["a", "b", {}, !)", "words has more than 2 items", errc::invalid_request},
          row{R"({"items": [{}, {}, {}, !)", "more than 2 files", errc::payload_too_large},
          row{R"({"map": {"a": "", "b": "", "c": !)", "map has more than 2 members", errc::invalid_request}}) {
        CAPTURE(body);
        described = 0;
        const auto fault = read(body);
        REQUIRE(fault);
        CHECK(fault->what == kind::too_long);
        CHECK(fault->message == message);
        CHECK(fault->code == code);
        CHECK(described <= 2);
    }
}

TEST_CASE("a fault is named with its path", "[base][json_reader]")
{
    struct row {
        const char* body;
        const char* expected;
    };
    const row rows[] = {
        {R"({"texts": ["a", "b", 3, null]})", "texts[2] must be a string, not an integer"},
        {R"({"texts": ["a", ["b"]]})", "texts[1] must be a string, not an array"},
        {R"({"texts": [{}]})", "texts[0] must be a string, not an object"},
        {R"({"map": {"a": "1", "b.c": 2}})", "map.b.c must be a string, not an integer"},
        {R"({"map": {"a": {"b": "1"}}})", "map.a must be a string, not an object"},
        {R"({"map": {"a": []}})", "map.a must be a string, not an array"},
        {R"({"map": {"a": "1", "b": "2", "c": "3", "d": "4"}})", "map has more than 3 members"},
        {R"({"map": {"b": "1", "a": "2", "b": "3"}})", "map.b comes twice"},
        {R"({"object": {"inner": 1}})", "object.inner must be a string, not an integer"},
        {R"({"items": [{"path": "p"}, {"mode": 1}]})", "items[1].path is required"},
        {R"({"items": [{"path": "p", "mode": 8}]})", "items[0].mode must be between 0 and 7"},
        {R"({"items": [{"path": "p", "tags": ["a", 1]}]})", "items[0].tags[1] must be a string, not an integer"},
        {R"({"items": [{"path": "p"}, "q"]})", "items[1] must be an object with a path"},
        {R"({"items": [[]]})", "items[0] must be an object with a path"},
        {R"({"items": [null]})", "items[0] must be an object with a path"},
        {R"({"text": "a", "text": "b"})", "text comes twice"},
        {R"({"text": "a", "te\u0078t": "b"})", "text comes twice"},
        {R"({"items": [{"path": "p", "path": "q"}]})", "items[0].path comes twice"},
        {R"({"unknown": 1, "unknown": 2})", "taken"},
        // The first one counts.
        {R"({"flag": 1, "text": 2, "map": []})", "flag must be true or false, not an integer"},
        {R"({"object": {"inner": []}, "items": [{}]})", "object.inner must be a string, not an array"},
        // What is no JSON is told as that.
        {R"({"flag": 1, "text": })", "syntax"},
        {R"({"flag": 1)", "syntax"},
        {"[1", "syntax"},
        {"[]", "no object"},
        {"[{}]", "no object"},
        {"\"text\"", "no object"},
        {"\"te\\nxt\"", "no object"},
        {"null", "no object"},
        {" 17 ", "no object"},
        {"", "syntax"},
        {"{} x", "syntax"},
        {"{}\n\t \r", "taken"},
        {"{\"text\": \"\xff\"}", "syntax"},
        {"{\"unknown\": \"\xff\"}", "syntax"},
        {"{\"\xff\": 1}", "syntax"},
        {"{\"text\": \"\xed\xa0\x80\"}", "syntax"},
        {R"({"text": "\ud800"})", "syntax"},
        {"{\"text\": \"a\nb\"}", "syntax"},
        {R"({"text": "a",})", "syntax"},
        {"{'text': 1}", "syntax"},
        {"{} // a comment", "syntax"},
        {"{\"unknown\": NaN}", "syntax"},
        {"{\"unknown\": 01}", "syntax"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.body);
        CHECK(fault_of(row.body) == row.expected);
    }
    // Of a name that somebody chose, as much as tells which.
    const auto long_name = fault_of(R"({"map": {")" + std::string(1 << 20, 'n') + R"(": 1}})");
    CHECK(long_name.starts_with("map.nnn"));
    CHECK(long_name.size() < 300);
}

TEST_CASE("depth and members are bounded while reading", "[base][json_reader]")
{
    CHECK(fault_of(with("unknown", nested(31))) == "taken");
    CHECK(fault_of(with("unknown", nested(32))) == "syntax");
    CHECK(fault_of(with("unknown", nested(4)), {.max_depth = 5}) == "taken");
    CHECK(fault_of(with("unknown", nested(5)), {.max_depth = 5}) == "syntax");
    CHECK(fault_of(with("unknown", std::string(1 << 20, '['))) == "syntax");

    const json_limits four{.max_members = 4};
    const std::string told = "too many: more than 4 members and items of lists: send fewer";
    CHECK(fault_of(R"({"a": 1, "b": {"c": [{"d": 1}]}})", four) == "taken");
    CHECK(fault_of(R"({"a": 1, "b": {"c": [{"d": 1, "e": 1}]}})", four) == told);
    CHECK(fault_of(R"({"a": 1, "a": 2, "a": 3, "a": 4, "a": 5})", four) == told);
    CHECK(fault_of(R"({"texts": ["", "", ""]})", four) == "taken");
    CHECK(fault_of(R"({"texts": ["", "", "", ""]})", four) == told);
    CHECK(fault_of(R"({"items": [{"path": ""}, {"path": ""}]})", four) == told);
    CHECK(fault_of(R"({"unknown": [1, 2, 3, 4, 5, "6", [], {}]})", four) == "taken");
    // Also behind another fault.
    CHECK(fault_of(R"({"flag": 1, "b": 1, "c": 1, "d": 1, "e": 1})", four) == told);
    // Nothing behind the bound is read.
    CHECK(fault_of(R"({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1 no JSON)", four) == told);
}

TEST_CASE("names that nobody asked for are not kept", "[base][json_reader]")
{
    // What they would cost does not depend on what they are: the only memory is that of what was asked for. Names
    // with escapes come in parts; those of an unknown object's members are not even put together.
    std::string body = R"({"text": "x", "unknown": {)";
    for (int i = 0; i < 20'000; ++i) {
        if (i > 0) body += ',';
        body += "\"\\u0061" + std::to_string(i) + std::string(40, 'x') + "\": [\"y\"]";
    }
    body += "}}";
    std::string text;
    json_members root;
    root.text("text", text);
    CHECK_FALSE(read_json(body, root));
    CHECK(text == "x");
}

TEST_CASE("no stranger's text becomes a key of a hash table", "[base][json_reader]")
{
    // Boost.JSON's objects, and the standard's unordered containers, hash in a way that can be predicted. Who needs one
    // of them says here why nobody can choose its keys.
    const std::set<std::string> known{
        "lib/config/config.cpp",       // the operator's own configuration
        "lib/mcp/rpc.cpp",             // one string at a time, never an object
        "lib/api/operation.cpp",       // the examples of the API's description, which are in the program
        "lib/jail/docker_api.cpp",     // what the Docker daemon says, who is root anyway
        "lib/jail/docker_jail.cpp",    // the same
        "lib/compile/record.cpp",      // written by a server with the fleet's key, with names of its own
        "lib/artifacts/manifest.cpp",  // written by this server
        "lib/artifacts/cache.hpp",     // by digests that this server made
    };
    const std::string_view tokens[] = {"json::parse(",   "json::stream_parser", "json::parser",
                                       "parse_into(",    "unordered_map<",      "unordered_set<",
                                       "unordered_flat", "unordered_multimap<"};
    std::size_t looked_at = 0;
    const std::filesystem::path root{SANDBOXD_SOURCE_DIR};
    for (const auto* const directory : {"lib", "app"}) {
        for (const auto& one : std::filesystem::recursive_directory_iterator{root / directory}) {
            if (one.path().extension() != ".cpp" && one.path().extension() != ".hpp") continue;
            ++looked_at;
            const auto name = one.path().lexically_relative(root).generic_string();
            if (known.contains(name)) continue;
            std::ifstream file{one.path()};
            const std::string text{std::istreambuf_iterator<char>{file}, {}};
            for (const auto token : tokens) {
                CAPTURE(name, token);
                CHECK(text.find(token) == std::string::npos);
            }
        }
    }
    CHECK(looked_at > 100);
}

TEST_CASE("what members were told can be listed", "[base][json]")
{
    using told = json_member_info::kind;
    struct item {
        std::string path;
    };
    std::string text;
    std::optional<std::int64_t> number;
    std::int64_t any = 0;
    std::optional<double> real;
    std::vector<std::pair<std::string, std::string>> map;
    std::vector<item> items;
    json_members root;
    root.text("text", text).required().means("A text.");
    root.number("number", number, 1, 10).set_by("most", "usual");
    root.number("any", any, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
    root.text_map("map", map).at_most(3).or_null();
    root.object("object", [&real](json_members& its) { its.number("real", real, 0, 1.5); });
    root.objects<item>("items", items, [](item& one, json_members& its) { its.text("path", one.path).required(); })
        .at_most(7);

    const auto all = list_members(root);
    REQUIRE(all.size() == 6);
    CHECK(all[0].name == "text");
    CHECK((all[0].what == told::text && all[0].is_required && !all[0].takes_null && all[0].means == "A text."));
    CHECK((all[1].what == told::integer && all[1].low == 1 && all[1].high == 10 && all[1].takes_null));
    CHECK((all[1].most_key == "most" && all[1].usual_key == "usual"));
    CHECK((all[2].what == told::integer && !all[2].low && !all[2].high));
    CHECK((all[3].what == told::text_map && all[3].most == 3 && all[3].takes_null));
    REQUIRE((all[4].what == told::object && all[4].members.size() == 1));
    CHECK((all[4].members[0].what == told::real && all[4].members[0].high == 1.5));
    REQUIRE((all[5].what == told::objects && all[5].most == 7 && all[5].members.size() == 1));
    CHECK((all[5].members[0].name == "path" && all[5].members[0].is_required));
    // Listing does not spoil the reading.
    CHECK(!read_json(R"({"text": "a", "items": [{"path": "b"}]})", root));
    CHECK((text == "a" && items.back().path == "b"));
}

TEST_CASE("a member of any kind is looked past, and known to be there", "[base]")
{
    for (const auto* const value :
         {"1", "1.5", "null", "true", "\"x\"", "[1, {\"a\": []}]", "{\"b\": [1], \"a\": 1}"}) {
        CAPTURE(value);
        bool is_there = false;
        std::int64_t after = 0;
        json_members root;
        root.anything("value", is_there).required();
        root.number("after", after, 0, 10);
        CHECK_FALSE(read_json("{\"value\": " + std::string{value} + ", \"after\": 7}", root));
        CHECK(is_there);
        CHECK(after == 7);
    }
    bool is_there = false;
    json_members root;
    root.anything("value", is_there).required();
    const auto twice = read_json(R"({"value": 1, "value": [2]})", root);
    REQUIRE(twice);
    CHECK(twice->message == "value comes twice");
    json_members again;
    again.anything("value", is_there).required();
    CHECK(read_json("{}", again));
}

TEST_CASE("where no others may be, another member is a fault, with its path", "[base][json_reader]")
{
    const auto said = [](std::string_view text) {
        std::string a;
        std::vector<std::string> inner;
        json_members root;
        root.no_others();
        root.text("a", a);
        root.object("open", [](json_members&) {});
        root.objects<std::string>("all", inner, [](std::string& one, json_members& its) {
            its.no_others();
            its.text("b", one);
        });
        const auto fault = read_json(text, root);
        return fault ? fault->message : std::string{};
    };
    CHECK(said(R"({"a": "x", "open": {"c": 1}, "all": [{"b": "y"}]})").empty());
    CHECK(said(R"({"c": [{"d": 1}], "a": 1})") == "c is not known here");
    CHECK(said(R"({"all": [{"b": "y"}, {"B": "y"}]})") == "all[1].B is not known here; did you mean b?");
    CHECK(said("{\"" + std::string(300, 'c') + "\": 1}").size() < 200);
}
