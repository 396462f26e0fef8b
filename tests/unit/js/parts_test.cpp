// The parts that need no engine: the cache, the wire, the JSON check.
#include "js/image_cache.hpp"
#include "js/json_text.hpp"
#include "js/wire.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace sandboxd::js;

TEST_CASE("an image is taken out by its id and init script, once", "[js]")
{
    image_cache cache{10'000};
    cache.put("a", "init", "image of a");
    CHECK(cache.size() == 1);
    CHECK_FALSE(cache.take("b", "init"));
    CHECK(cache.take("a", "init") == "image of a");
    CHECK_FALSE(cache.take("a", "init"));
    CHECK(cache.bytes() == 0);
}

TEST_CASE("another init script discards the sandbox", "[js]")
{
    image_cache cache{10'000};
    cache.put("a", "init", "image");
    CHECK_FALSE(cache.take("a", "other"));
    CHECK_FALSE(cache.take("a", "init"));
    CHECK(cache.size() == 0);
    CHECK(cache.bytes() == 0);
}

TEST_CASE("the cache keeps to its bytes; what was used longest ago goes first", "[js]")
{
    image_cache cache{1'000};
    cache.put("a", "", std::string(399, 'a'));
    cache.put("b", "", std::string(399, 'b'));
    CHECK(cache.bytes() == 800);
    const auto a = cache.take("a", "");
    cache.put("a", "", *a);
    cache.put("c", "", std::string(399, 'c'));
    CHECK(cache.bytes() == 800);
    CHECK_FALSE(cache.take("b", ""));
    CHECK(cache.take("a", ""));
    CHECK(cache.take("c", ""));
    cache.put("big", "", std::string(2'000, 'x'));
    CHECK(cache.size() == 0);
    cache.put("a", "", "old");
    cache.put("a", "", "new");
    CHECK(cache.size() == 1);
    CHECK(cache.take("a", "") == "new");
    image_cache off{0};
    off.put("a", "", "x");
    CHECK_FALSE(off.take("a", ""));
}

TEST_CASE("JSON is told from what is not", "[js]")
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

TEST_CASE("what was printed is told as it was written", "[js]")
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

TEST_CASE("requests and answers come back as they were", "[js]")
{
    run_request request;
    request.init_script = "init";
    request.script = std::string{"a\0b", 3};
    request.is_module = true;
    request.modules = {{"m", "export {}"}, {"n", ""}};
    request.limits.fuel = 7;
    request.image = "image";
    request.image_bytes = 64 << 20;
    const std::string frame = encode_frame(request, 77);
    REQUIRE(frame_size(frame) == frame.size() - frame_header_bytes);
    const auto body = std::string_view{frame}.substr(frame_header_bytes);
    const auto read = decode_request(body);
    REQUIRE(read.has_value());
    CHECK(read->number == 77);
    const run_request* const back = &read->message;
    CHECK(back->image_bytes == request.image_bytes);
    CHECK(back->init_script == request.init_script);
    CHECK(back->script == request.script);
    CHECK(back->modules.size() == 2);
    CHECK(back->modules[0].source == "export {}");
    CHECK(back->limits.fuel == 7);
    CHECK(back->image == "image");
    for (std::size_t size = 0; size < body.size(); ++size)
        CHECK_FALSE(decode_request(body.substr(0, size)).has_value());

    run_answer answer;
    answer.status = run_status::runtime_error;
    answer.thrown.message = "m\xff";
    answer.console = {{.level = console_level::warn, .unix_ms = 5, .data = "[1]", .text = {}},
                      {.level = console_level::log, .unix_ms = 6, .data = {}, .text = "t\xff"}};
    const std::string answered = encode_frame(answer, 78);
    const auto answer_body = std::string_view{answered}.substr(frame_header_bytes);
    const auto answer_read = decode_answer(answer_body);
    REQUIRE(answer_read.has_value());
    CHECK(answer_read->number == 78);
    const run_answer* const got = &answer_read->message;
    CHECK(got->status == run_status::runtime_error);
    CHECK(got->thrown.message == "m\xEF\xBF\xBD");
    CHECK(got->console.at(0).level == console_level::warn);
    CHECK(got->console.at(0).data == "[1]");
    CHECK(got->console.at(1).text == "t\xEF\xBF\xBD");
    for (std::size_t size = 0; size < answer_body.size(); ++size)
        CHECK_FALSE(decode_answer(answer_body.substr(0, size)).has_value());
}

TEST_CASE("an answer that a worker has forged is refused", "[js]")
{
    const auto decodes = [](const run_answer& answer) {
        return decode_answer(std::string_view{encode_frame(answer, 78)}.substr(frame_header_bytes)).has_value();
    };
    run_answer answer;
    CHECK(decodes(answer));
    answer.result = "1,\"admin\":true";
    CHECK_FALSE(decodes(answer));
    answer.result = "null";
    answer.console = {{.level = console_level::log, .unix_ms = 0, .data = "[1]],\"x\":[2]", .text = {}}};
    CHECK_FALSE(decodes(answer));
    answer.console = {{.level = static_cast<console_level>(99), .unix_ms = 0, .data = "[1]", .text = {}}};
    CHECK_FALSE(decodes(answer));
    answer.console.clear();
    answer.status = static_cast<run_status>(200);
    CHECK_FALSE(decodes(answer));
    answer = {};
    answer.fuel_used = -1;
    CHECK_FALSE(decodes(answer));
    answer = {};
    answer.wall = std::chrono::microseconds{-1};
    CHECK_FALSE(decodes(answer));
    std::string many = encode_frame(run_answer{}, 1);
    many.replace(many.size() - 4, 4, "\xff\xff\xff\xff");
    CHECK_FALSE(decode_answer(std::string_view{many}.substr(frame_header_bytes)).has_value());
}

TEST_CASE("an answer is no longer than its request allows", "[js]")
{
    run_request request;
    request.limits.result_bytes = 100;
    request.limits.console_bytes = 200;
    request.image_bytes = 300;
    request.console_values = true;
    run_answer answer;
    CHECK(keeps_to(answer, request));
    answer.result = std::string(98, '1');
    answer.console = {{.level = console_level::log, .unix_ms = 0, .data = "[1]", .text = {}},
                      {.level = console_level::log, .unix_ms = 0, .data = "[]", .text = {}}};
    answer.image = std::string(300, 'i');
    CHECK(keeps_to(answer, request));
    CHECK(encode_frame(answer, 1).size() <= max_answer_bytes(request));
    auto more = answer;
    more.result += "111";
    CHECK_FALSE(keeps_to(more, request));
    more = answer;
    more.console.resize(4, answer.console[1]);  // empty ones count, too
    CHECK_FALSE(keeps_to(more, request));
    more = answer;
    more.image += 'i';
    CHECK_FALSE(keeps_to(more, request));
    more = answer;
    more.console.resize(1);
    more.console[0] = {.level = console_level::log, .unix_ms = 0, .data = {}, .text = std::string(300, 't')};
    request.console_values = false;
    CHECK_FALSE(keeps_to(more, request));
    more.console[0].text.resize(50);
    CHECK(keeps_to(more, request));
    // Values where text was asked for, text where values were.
    more.console[0] = answer.console[0];
    CHECK_FALSE(keeps_to(more, request));
    more.console[0] = {.level = console_level::log, .unix_ms = 0, .data = {}, .text = "t"};
    request.console_values = true;
    CHECK_FALSE(keeps_to(more, request));
}
