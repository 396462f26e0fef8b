// The commands of secure-javascript-sandbox's manual, and of ours, as they are printed there (but for the
// port), with curl; and the command line with what its manual calls it with.
#include "support/command_output.hpp"
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

constexpr const char* manual_line = R"manual(  time curl -X POST http://localhost:3000/execute \
    -H 'Content-Type: application/json' \
    -d '{"sandbox_id": "x", "init_script": "function fib(n) { return n <= 1 ? 1 : fib(n-1) + fib(n-2); }", "script": "fib(13)"}';
)manual";

struct script_server : server_process {
    script_server() : server_process{{.config = std::string{no_toolchain}, .wait_ready = false, .js = true}}
    {
        REQUIRE(eventually([this] { return http_client{*this}.get("/api/health").status == 200; }));
    }
};

// By bash, which has `time` as the manual's reader has it.
std::string run_line(std::string line, const server_process& server)
{
    const auto host = line.find("localhost:") + std::string{"localhost:"}.size();
    const auto end = std::find_if_not(line.begin() + static_cast<std::ptrdiff_t>(host), line.end(),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
    line.replace(line.begin() + static_cast<std::ptrdiff_t>(host), end, std::to_string(server.port()));
    const temporary_directory own;
    std::ofstream{own / "line"} << line;
    const auto ran = output_of("bash '" + (own / "line").native() + "' 2>/dev/null");
    CHECK(ran.code == 0);
    return ran.out;
}

json::value parse(const std::string& answer)
{
    INFO(answer);
    boost::system::error_code ec;
    auto value = json::parse(answer, ec);
    REQUIRE_FALSE(ec);
    return value;
}

// The commands of a paper's blocks that post to this path.
std::vector<std::string> our_lines(const std::string& path, const std::string& paper = "lib/api/README.md")
{
    std::ifstream in{SANDBOXD_SOURCE_DIR "/" + paper};
    const std::string text{std::istreambuf_iterator<char>{in}, {}};
    std::vector<std::string> lines;
    const std::string opening = "curl -X POST ";
    for (auto at = text.find(opening); at != std::string::npos; at = text.find(opening, at + 1)) {
        auto end = text.find('\n', at);
        // Either a backslash or an open quote carries a command over to the next line.
        while (text[end - 1] == '\\' || std::count(text.begin() + static_cast<std::ptrdiff_t>(at),
                                                   text.begin() + static_cast<std::ptrdiff_t>(end), '\'') %
                                                2 !=
                                            0)
            end = text.find('\n', end + 1);
        auto line = text.substr(at, end - at);
        const auto place = line.find(":8080" + path);
        if (place == std::string::npos || line.find_first_of(" '?", place) != place + 5 + path.size()) continue;
        lines.push_back(std::move(line));
    }
    return lines;
}

}  // namespace

TEST_CASE("the manual's curl line for /execute gives the manual's answer", "[js][legacy]")
{
    const script_server server;
    for (int i = 0; i < 2; ++i) {  // the second time from the sandbox that is there
        const auto answer = parse(run_line(manual_line, server));
        CHECK(answer.at("status") == "OK");
        CHECK(answer.at("result") == 377);
        CHECK(answer.at("stdout") == "");
        CHECK(answer.at("stderr") == "");
    }
    CHECK(server.metric("sandboxd_js_sandbox_requests_total{cache=\"hit\"}") == 1);
}

TEST_CASE("the papers' curl lines for scripts do what they say", "[js]")
{
    const script_server server;
    const auto execute = our_lines("/execute");
    REQUIRE(execute.size() == 3);
    CHECK(parse(run_line(execute[0], server)).at("result") == 377);
    const auto failed = parse(run_line(execute[1], server));
    CHECK(failed.at("status") == "RUNTIME_ERROR");
    CHECK(failed.at("message") == "TypeError: cannot read property 'name' of undefined");
    CHECK(failed.at("stdout") == "on my way\n");
    const auto waits = parse(run_line(execute[2], server));
    CHECK(waits.at("status") == "PENDING");
    CHECK(waits.at("calls").as_array().size() == 2);
    auto goes_on = our_lines("/execute/continue");
    REQUIRE(goes_on.size() == 1);
    const std::string_view blank = "…";
    goes_on[0].replace(goes_on[0].find(blank), blank.size(), waits.at("continuation").as_string());
    CHECK(parse(run_line(goes_on[0], server)).at("result") == 42);
    const auto first = our_lines("/execute", "README.md");
    REQUIRE(first.size() == 1);
    CHECK(parse(run_line(first[0], server)).at("result") == json::array{1, 4, 9});
    const auto scripts = our_lines("/api/execute");
    REQUIRE(scripts.size() == 3);
    for (const auto& line : scripts) {
        INFO(line);
        const auto answer = parse(run_line(line, server));
        CHECK(answer.at("status") == "success");
        CHECK(answer.at("result") == 3);
        CHECK(answer.at("error") == false);
        CHECK(answer.at("log").at(0).at("data") == json::array{"Hello!"});
    }
}

TEST_CASE("the manual's command line", "[js][legacy]")
{
    const auto ran = output_of(SANDBOXD_JS_BINARY " --script \"console.log('hello world')\" 2>&1");
    CHECK(ran.code == 0);
    CHECK(ran.out == "hello world\nnull\n");
}
