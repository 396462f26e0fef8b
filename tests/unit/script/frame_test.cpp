#include "script/frame.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <string_view>

using namespace sandboxd::script;

TEST_CASE("requests and answers come back as they were", "[script]")
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

TEST_CASE("an answer that a worker has forged is refused", "[script]")
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
    // The time of a fixed clock that there is none of, the number of calls, the length of the image.
    for (const std::size_t from_end : {4, 13, 17}) {
        std::string many = encode_frame(run_answer{}, 1);
        many.replace(many.size() - from_end, 4, "\xff\xff\xff\xff");
        CHECK_FALSE(decode_answer(std::string_view{many}.substr(frame_header_bytes)).has_value());
    }
}

TEST_CASE("an answer is no longer than its request allows", "[script]")
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
