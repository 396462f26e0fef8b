#include "api/faas_request.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;
using namespace sandboxd::api;

TEST_CASE("a deploy is read as the manual writes it", "[api][faas]")
{
    const auto made = read_deploy_request(R"json({"runtime":"bun","code":"console.log(1)","entry_point":"bun dev",
        "files":[{"path":"package.json","content":"{}"}],"env_vars":{"A":"b"},"memory_limit_mb":64,
        "auto_scale":{"scale_down_after_minutes":0.5,"max_instances":3},"unknown":true})json");
    REQUIRE(made.has_value());
    CHECK(made->runtime == "bun");
    CHECK(made->entry_point == "bun dev");
    REQUIRE(made->files.size() == 1);
    CHECK(made->files[0].path == "package.json");
    CHECK(made->env.front().second == "b");
    CHECK(made->memory_mb == 64);
    CHECK(made->idle == std::chrono::milliseconds{30'000});
    CHECK(made->max_instances == 3);
}

TEST_CASE("what is wrong with a deploy is named by its path", "[api][faas]")
{
    const auto fault = [](std::string_view body) {
        const auto made = read_deploy_request(body);
        CAPTURE(body);
        REQUIRE(made.has_error());
        CHECK(made.error().code == errc::invalid_request);
        return made.error().message;
    };
    CHECK(fault("").find("JSON") != std::string::npos);
    CHECK(fault("[]").find("object") != std::string::npos);
    CHECK(fault("{}").find("runtime") != std::string::npos);
    CHECK(fault(R"({"runtime":"bun"})").find("code") != std::string::npos);
    CHECK(fault(R"({"runtime":"bun","files":[{"path":"a"}]})").find("files[0].content") != std::string::npos);
    CHECK(fault(R"({"runtime":"bun","files":[1]})").find("files[0]") != std::string::npos);
    CHECK(fault(R"({"runtime":"bun","code":"x","env_vars":{"A=B":"c"}})").find("env_vars.A=B") != std::string::npos);
    CHECK(fault(R"({"runtime":"bun","code":"x","env_vars":{"A":"1","A":"2"}})") == "env_vars.A comes twice");
    CHECK(fault(R"({"runtime":"bun","code":"x","runtime":"node"})") == "runtime comes twice");
    CHECK(fault(R"({"runtime":"bun","code":"x","env_vars":{"A":1}})").find("env_vars.A") != std::string::npos);
    CHECK(fault(R"({"runtime":"bun","code":"x","auto_scale":{"scale_down_after_minutes":-1}})")
              .find("scale_down_after_minutes") != std::string::npos);
    for (const auto* const count : {"0", "-1", "1.5", "\"2\"", "[]"})
        CHECK(fault(std::string{R"({"runtime":"bun","code":"x","auto_scale":{"max_instances":)"} + count + "}}")
                  .find("auto_scale.max_instances") != std::string::npos);
    CHECK(fault(R"({"runtime":"bun","code":"x","memory_limit_mb":0})").find("memory_limit_mb") != std::string::npos);
}

TEST_CASE("a deployment's files may be base64", "[api][faas]")
{
    constexpr auto files = R"("files":[{"path":"a","content":"AP8=","encoding":"base64"},{"path":"b","content":"c"}]})";
    const auto made = read_deploy_request(std::string{R"({"runtime":"bun",)"} + files);
    REQUIRE(made.has_value());
    CHECK(made->files[0].content == std::string{"\0\xff", 2});
    CHECK(made->files[1].content == "c");
    const auto update = read_files_request(std::string{"{"} + files);
    REQUIRE(update.has_value());
    CHECK(update->files[0].content == std::string{"\0\xff", 2});
    CHECK(read_files_request(R"({"files":[{"path":"a","content":"AP8","encoding":"base64"}]})")
              .error()
              .message.starts_with("files[0].content is not base64"));
}

TEST_CASE("an update names its files", "[api][faas]")
{
    const auto made = read_files_request(R"({"files":[{"path":"a","content":"b"}],"restart_dev_server":true})");
    REQUIRE(made.has_value());
    CHECK(made->restart);
    CHECK(read_files_request(R"({"files":[]})").has_error());
    CHECK(read_files_request(R"({"files":[{"path":"a","content":"b"}],"restart_dev_server":1})").has_error());
}
