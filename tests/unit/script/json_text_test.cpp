#include "script/json_text.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd::script;

TEST_CASE("JSON is told from what is not", "[script]")
{
    for (const char* text : {"null", "true", " false ", "0", "-0.5e+10", "\"\"", "\"a\\u00e9\\ud800\\n\"", "[]", "{}",
                             "[1,[2,{\"a\":[]}],\"x\"]", "{\"a\":{\"b\":null}}", "1E5"})
        CHECK(is_json(text));
    for (const char* text :
         {"",           " ",           "nul",    "01",   "1.",   ".5",       "+1",        "1e",       "\"",
          "\"\\x\"",    "\"\\u12g4\"", "\"\t\"", "[1,]", "[,1]", "[1 2]",    "{\"a\"}",   "{\"a\":}", "{a:1}",
          "{\"a\":1,}", "[",           "]",      "{]",   "1 2",  "\"\xff\"", "undefined", "NaN",      "[1]]"}) {
        INFO(text);
        CHECK_FALSE(is_json(text));
    }
    // Strings are read in steps of several bytes: what ends or spoils one is found at each place of a step.
    for (std::size_t at = 0; at < 20; ++at) {
        CAPTURE(at);
        const std::string before(at, '~');
        const std::string behind(20, '~');
        CHECK(is_json('"' + before + "\\n" + "\x7f \xc3\xa9" + behind + '"'));
        CHECK_FALSE(is_json('"' + before + "\\x" + behind + '"'));
        CHECK_FALSE(is_json('"' + before + '"' + behind + '"'));
        for (const char control : {'\0', '\x01', '\t', '\x1f'})
            CHECK_FALSE(is_json('"' + before + control + behind + '"'));
        CHECK_FALSE(is_json('"' + before + behind));
    }
    CHECK(is_json(std::string(1'000'000, '[') + std::string(1'000'000, ']')));
    CHECK_FALSE(is_json(std::string(1'000'000, '[')));
    CHECK(is_json_array("[1]"));
    CHECK_FALSE(is_json_array("{}"));
}

TEST_CASE("what was printed is told as it was written", "[script]")
{
    struct row {
        std::string array;
        std::string expected;
    };
    const row rows[] = {
        {"[]", ""},
        {"[ ] ", ""},
        {R"(["a"])", "a"},
        {R"(["a",1,{"b":[true]},null])", R"(a 1 {"b":[true]} null)"},
        {R"(["","",""])", "  "},
        // Numbers keep the form that they came in.
        {"[3.14,1e21,-0.5,0.1,100]", "3.14 1e21 -0.5 0.1 100"},
        {R"([{"pi":3.14,"s":"]},[{\"\""},[1,2],"]"])", R"({"pi":3.14,"s":"]},[{\"\""} [1,2] ])"},
        {R"([ "a" , {"b" : [ 1 ] } , 2 ] )", R"(a {"b" : [ 1 ] } 2)"},
        {R"(["\" \\ \/ \b\f\n\r\t\u0041\u00e9\u20ac\uD83D\ude00"])",
         "\" \\ / \b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        // Half of a pair, in every place.
        {R"(["half \ud83d",{"x":1}])", "half \xef\xbf\xbd {\"x\":1}"},
        {R"(["\ude00\ud83d"])", "\xef\xbf\xbd\xef\xbf\xbd"},
        {R"(["\ud83d\ud83d\ude00"])", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
        {R"(["\ud83d\n"])", "\xef\xbf\xbd\n"},
        // No array, or cut short: no more than is there.
        {"", ""},
        {"{}", ""},
        {"[", ""},
        {R"(["a)", "a"},
        {R"(["a\)", "a"},
        {R"(["\u12)", "\xef\xbf\xbd"},
        {"[{\"a", "{\"a"},
        {"[}},1", "}} 1"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.array);
        std::string text;
        append_elements(text, row.array);
        CHECK(text == row.expected);
    }
    std::string deep;
    append_elements(deep, std::string(1'000'000, '[') + std::string(1'000'000, ']'));
    CHECK(deep.size() == 1'999'998);
}
