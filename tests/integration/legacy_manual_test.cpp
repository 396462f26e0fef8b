// What the clients of emcc-sandboxd rely on: the commands of its manual as they are printed there (but for the
// port), its configuration file, and its error answers.
#include "support/legacy_manual.hpp"

#include "support/command_output.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/parse.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <fstream>
#include <string>

using namespace sandboxd::test;

namespace {

constexpr const char* health_line = "curl http://localhost:8080/healthz";

// The stray backslash before a blank is in the manual: curl gets " " as a second address and complains about it
// after the first has been answered.
constexpr const char* c_line = R"(curl -X POST http://localhost:8080/compile \ \
  -H "Content-Type: application/json" \
  -d '{
    "code": "#include <stdio.h>\nint main() { printf(\"Hello WebAssembly!\"); return 0; }",
    "type": "c"
  }')";

constexpr const char* cpp_line = R"(curl -X POST http://localhost:8080/compile \
  -H "Content-Type: application/json" \
  -d '{
    "code": "#include <iostream>\nint main() { std::cout << \"Hello C++ WebAssembly!\" << std::endl; return 0; }",
    "type": "cpp"
  }')";

constexpr const char* args_line = R"(curl -X POST http://localhost:8080/compile \
  -H "Content-Type: application/json" \
  -d '{
    "code": "#include <stdio.h>\nint add(int a, int b) { return a + b; }\nint main() { printf(\"Result: %d\", add(5, 3)); return 0; }",
    "type": "c",
    "args": ["-O2", "-sEXPORTED_FUNCTIONS=[_main,_add]"]
  }')";

command_output run_line(std::string line, const server_process& server)
{
    const std::string printed = "http://localhost:8080";
    line.replace(line.find(printed), printed.size(), "http://localhost:" + std::to_string(server.port()));
    return output_of("{ " + line + "\n} 2>/dev/null");
}

}  // namespace

TEST_CASE("the manual's curl lines give the manual's answers", "[legacy]")
{
    server_process server;
    http_client client{server};

    const auto health = run_line(health_line, server);
    CHECK(health.code == 0);
    CHECK(health.out == "ok");

    for (const auto* line : {c_line, cpp_line, args_line}) {
        INFO(line);
        const auto ran = run_line(line, server);
        const auto answer = boost::json::parse(ran.out);
        CHECK(answer.at("ok").as_bool());
        const std::string id{answer.at("id").as_string()};
        CHECK(answer.at("js").as_string() == "/artifacts/" + id + "/app.js");
        CHECK(answer.at("wasm").as_string() == "/artifacts/" + id + "/app.wasm");
        CHECK(client.get("/artifacts/" + id + "/app.js").status == 200);
        CHECK(client.get("/artifacts/" + id + "/app.wasm").body.starts_with(std::string_view{"\0asm", 4}));
        CHECK(answer.at("ignoredArgs").as_array().empty());
    }
    // The exported function of the third is in its module.
    const auto third = boost::json::parse(run_line(args_line, server).out);
    CHECK(third.at("cached").as_bool());
    CHECK(client.get(std::string{third.at("js").as_string()}).body.find("_add") != std::string::npos);
    CHECK(server.clean());
}

TEST_CASE("the manual's configuration is taken as it is", "[legacy][config]")
{
    const temporary_directory own;
    std::ofstream{own / "config.json"} << legacy_manual_configuration;
    const auto checked = run_sandboxd({"--check-config"}, {}, own.path());
    CHECK(checked.end.code == 0);
    CHECK(checked.err.empty());

    server_process server{{.arguments = std::vector<std::string>{"--addr", "127.0.0.1:0", "--working-dir", own / "w"},
                           .cwd = own.path()}};
    http_client client{server};
    CHECK(client.get("/healthz").body == "ok");
    CHECK(server.stop().code == 0);
}

TEST_CASE("error answers keep the old codes and members", "[legacy]")
{
    server_process server;
    http_client client{server};

    const auto not_post = client.get("/compile");
    CHECK(not_post.status == 405);
    CHECK(not_post.field("allow") == "POST");
    CHECK(not_post.json().at("code").as_string() == "method_not_allowed");

    struct wrong {
        const char* body;
        const char* says;
    };
    const wrong table[] = {
        {"{", "invalid JSON"},
        {"", "invalid JSON"},
        {"[]", "invalid JSON"},
        {"{}", "code is required"},
        {R"({"code": ""})", "code is required"},
        {R"({"code": null})", "code is required"},
        {R"({"code": "int x;", "type": "rust"})", "type must be 'c' or 'cpp'"},
        {R"({"code": "int x;", "type": "c c"})", "type must be 'c' or 'cpp'"},
        {R"({"code": 1})", "code must be a string"},
        {R"({"code": "int x;", "args": "-O2"})", "args must be an array"},
        {R"({"code": "int x;", "args": [1]})", "args[0] must be a string"},
        {R"({"code": "int x;", "cache": 1})", "cache must be true or false"},
        {R"({"files": {}})", "files must be an array"},
        {R"({"files": [{"path": "a.c"}]})", "files[0].content is required"},
        {R"({"files": [{"path": "../a.c", "content": ""}]})", "files[0]"},
        {R"({"code": "x", "files": [{"path": "a.c", "content": ""}]})", "either code or files"},
    };
    for (const auto& one : table) {
        INFO(one.body);
        const auto answer = client.request("POST", "/compile", {{"Content-Type", "application/json"}}, one.body);
        CHECK(answer.status == 400);
        CHECK(answer.field("content-type") == "application/json");
        const auto body = answer.json();
        CHECK_FALSE(body.at("ok").as_bool());
        CHECK(body.at("id").as_string().empty());
        CHECK(body.at("js").as_string().empty());
        CHECK(body.at("wasm").as_string().empty());
        CHECK(body.at("code").as_string() == "invalid_request");
        CHECK(std::string{body.at("error").as_string()}.find(one.says) != std::string::npos);
    }

    const auto failed = client.post("/compile", {{"code", "int main( {"}});
    CHECK(failed.status == 400);
    const auto body = failed.json();
    CHECK_FALSE(body.at("ok").as_bool());
    CHECK(body.at("id").as_string().size() == 32);
    CHECK(body.at("js").as_string().empty());
    CHECK(body.at("wasm").as_string().empty());
    CHECK(body.at("code").as_string() == "compile_error");
    CHECK(std::string{body.at("error").as_string()}.find("main.c:1:11: error: ") != std::string::npos);
    CHECK(server.clean());
}

TEST_CASE("the type is trimmed and case does not matter", "[legacy]")
{
    server_process server;
    http_client client{server};
    const char* const cpp_only = "class a {};\nint main() { return 0; }\n";
    std::string id;
    for (const auto* type : {"cpp", " CPP\n", "cc", "\tC++ ", "Cc"}) {
        INFO(type);
        const auto answer = client.post("/compile", {{"code", cpp_only}, {"type", type}, {"args", {"-O0"}}});
        CHECK(answer.status == 200);
        const std::string now{answer.json().at("id").as_string()};
        CHECK((id.empty() || id == now));
        id = now;
    }
    for (const auto* type : {"c", " C ", "", "  "}) {
        INFO(type);
        const auto answer = client.post("/compile", {{"code", cpp_only}, {"type", type}});
        CHECK(answer.status == 400);
        CHECK(answer.json().at("code").as_string() == "compile_error");
    }
    CHECK(client.post("/compile", {{"code", cpp_only}, {"type", nullptr}}).status == 400);
}
