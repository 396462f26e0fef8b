#include "api/problem.hpp"

#include "api/handlers.hpp"
#include "api/reply.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <set>
#include <string>
#include <string_view>

using namespace sandboxd;
namespace json = boost::json;

namespace {

json::object problem_of(http::response answer)
{
    api::make_problem(answer);
    CHECK(answer.content_type == "application/problem+json");
    return json::parse(std::get<std::string>(answer.body)).as_object();
}

}  // namespace

TEST_CASE("who names the type gets problems, and nobody else", "[api]")
{
    for (const auto* accept : {"application/problem+json", "application/json, application/problem+json;q=0.1",
                               "APPLICATION/Problem+JSON ; q=1", "text/html,application/problem+json"}) {
        CAPTURE(accept);
        CHECK(api::wants_problem(accept));
    }
    for (const auto* accept : {"", "*/*", "application/*", "application/json", "application/problem+json;q=0",
                               "application/problem+json; q=0.000", "application/problem+xml", "problem+json"}) {
        CAPTURE(accept);
        CHECK(!api::wants_problem(accept));
    }
}

TEST_CASE("an error becomes a problem with the same members", "[api]")
{
    const json::object more{{"nested", json::object{{"a", json::array{1, "}\"]\\", nullptr}}}}, {"text", "\"\\,}"}};
    const auto made = problem_of(api::error_reply({errc::queue_full, "say \"when\" \\ {, please"}, more));
    CHECK(json::serialize(made) == json::serialize(json::object{{"type", "/openapi.json#/x-error-codes/queue_full"},
                                                                {"title", sentence(errc::queue_full)},
                                                                {"status", 503},
                                                                {"detail", "say \"when\" \\ {, please"},
                                                                {"code", "queue_full"},
                                                                {"nested", more.at("nested")},
                                                                {"text", more.at("text")}}));

    // Shapes that emcc-sandboxd's and other clients know.
    const auto compile = problem_of(api::refuse_compile(invalid_request("no code")));
    CHECK((compile.at("id") == "" && compile.at("js") == "" && compile.at("detail") == "no code"));
    const auto script = problem_of(api::refuse_script(invalid_request("no script")));
    CHECK((script.at("status") == 400 && script.at("status_text") == "INVALID_REQUEST"));
    CHECK((script.at("detail") == "no script" && !script.contains("message")));
    const auto failed = problem_of(api::json_reply(
        400, std::string{"{\"status\":\"RUNTIME_ERROR\",\"code\":\"runtime_error\",\"message\":\"x\",\"usage\":{}}"}));
    CHECK(failed.at("title") == "the script threw an error, or its result cannot be JSON");
    CHECK(failed.at("usage").is_object());
}

TEST_CASE("what is no error of this form stays as it is", "[api]")
{
    auto fine = api::json_reply(200, json::object{{"code", "x"}});
    auto not_ready = api::json_reply(503, json::object{{"ready", false}, {"reasons", json::array{"draining"}}});
    auto text = api::text_reply(404, "nothing");
    for (auto* answer : {&fine, &not_ready, &text}) {
        const auto before = std::get<std::string>(answer->body);
        const std::string type{answer->content_type};
        api::make_problem(*answer);
        CHECK(std::get<std::string>(answer->body) == before);
        CHECK(answer->content_type == type);
    }
}

TEST_CASE("every code of an error has a meaning, once", "[api]")
{
    std::set<std::string_view> names;
    for (const auto& one : api::told_codes()) {
        CAPTURE(one.name);
        CHECK(names.insert(one.name).second);
        CHECK(one.status >= 400);
        CHECK(!one.meaning.empty());
    }
    for (const auto* name : {"internal", "invalid_request", "compile_error", "runtime_error", "out_of_fuel", "fault"})
        CHECK(names.contains(name));
}
