// Every limit a compile can run into: the answer names it, and nothing is left behind.
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/slow_source.hpp"

#include <boost/json/array.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

constexpr const char* hello = "int main(void) { return 0; }\n";

std::string code_of(const http_answer& answer) { return std::string{answer.json().at("code").as_string()}; }

}  // namespace

TEST_CASE("a compile that takes too long is killed and not remembered", "[compile][limits]")
{
    server_process server{{.config = R"("compileTimeoutSecs": 5)"}};
    http_client client{server};
    const auto kills = [&] { return server.metric("sandboxd_jail_kills_total{cause=\"timeout\"}"); };
    const auto before = kills();  // on a busy machine the probe, too, can be too slow at first
    for (int attempt = 1; attempt <= 2; ++attempt) {
        const auto answer = client.post("/compile", {{"code", slow_source()}, {"type", "cpp"}});
        CHECK(answer.status == 400);
        CHECK(code_of(answer) == "timeout");
        CHECK_FALSE(answer.json().at("cached").as_bool());
        CHECK(answer.json().at("timings").at("compileMs").to_number<double>() >= 5000);
        CHECK(server.clean());
        CHECK(kills() == before + attempt);
    }
    // Five seconds can be too few for one on a busy machine: another attempt is no answer that was remembered.
    CHECK(eventually([&] { return client.post("/compile", {{"code", hello}}).status == 200; }));
}

TEST_CASE("a compile that prints too much is cut off", "[compile][limits]")
{
    server_process server{{.config = R"("compile": {"maxOutputBytes": 4096})"}};
    http_client client{server};
    std::string flood;
    for (int i = 0; i < 500; ++i) flood += "#warning again and again\n";
    const auto answer = client.post("/compile", {{"code", flood + hello}});
    CHECK(answer.status == 400);
    CHECK(code_of(answer) == "output_limit");
    const auto body = answer.json();
    CHECK(body.at("truncated").as_bool());
    CHECK(body.at("log").as_string().size() <= 4096);
    CHECK_FALSE(body.at("log").as_string().empty());
    CHECK(server.clean());
    CHECK(client.post("/compile", {{"code", hello}}).status == 200);
}

TEST_CASE("what is too large is refused before it costs anything", "[compile][limits]")
{
    server_process server{
        {.config = R"("http": {"maxBodyBytes": 20000}, "compile": {"maxSourceBytes": 10000, "maxFiles": 2})"}};
    http_client client{server};

    const auto source = client.post("/compile", {{"code", std::string(10001, ' ')}});
    CHECK(source.status == 413);
    CHECK(code_of(source) == "payload_too_large");
    const json::array two{{{"path", "a.c"}, {"content", std::string(6000, ' ')}},
                          {{"path", "b.c"}, {"content", std::string(6000, ' ')}}};
    CHECK(client.post("/compile", {{"files", two}}).status == 413);

    json::array three;
    for (const auto* name : {"a.c", "b.c", "c.c"}) three.push_back({{"path", name}, {"content", hello}});
    const auto many = client.post("/compile", {{"files", three}});
    CHECK(many.status == 400);
    CHECK(std::string{many.json().at("error").as_string()}.find("more than 2 entries") != std::string::npos);

    const auto body = client.post("/compile", {{"code", std::string(30000, ' ')}});
    CHECK(body.status == 413);
    CHECK(code_of(body) == "payload_too_large");
    CHECK(std::string{body.json().at("error").as_string()}.find("http.maxBodyBytes") != std::string::npos);
    CHECK(server.metric("sandboxd_compile_seconds_count") == 1);  // the probe's
}

TEST_CASE("memory and artifacts have their limits, too", "[compile][limits]")
{
    server_process server{{.config = R"("jobLimits": {"memoryMB": 192}, "compile": {"maxArtifactMB": 1})"}};
    http_client client{server};

    // Each level doubles the instantiations.
    const std::string greedy =
        "template <int D, unsigned long long P> struct tree { static constexpr unsigned long long v = tree<D - 1, 2 * P>::v + tree<D - 1, 2 * P + 1>::v; };\n"
        "template <unsigned long long P> struct tree<0, P> { static constexpr unsigned long long v = P; };\n"
        "int main() { return tree<24, 1>::v == 5; }\n";
    const auto memory = client.post("/compile", {{"code", greedy}, {"type", "cpp"}});
    CHECK(memory.status == 400);
    CHECK(code_of(memory) == "memory_limit");
    CHECK_FALSE(memory.json().at("cached").as_bool());
    CHECK(server.clean());

    const auto large = client.post("/compile", {{"code", "char a[3 << 20] = {1};\nint main(void) { return a[5]; }\n"}});
    CHECK(large.status == 400);
    CHECK(code_of(large) == "artifact_rejected");
    CHECK(std::string{large.json().at("error").as_string()}.find("app.wasm") != std::string::npos);
    CHECK(server.clean());
    CHECK(client.post("/compile", {{"code", hello}}).status == 200);
}
