// Which jail is taken, what is said about it, and that every kind compiles.
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/proc.hpp"
#include "support/server_process.hpp"
#include "support/slow_source.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

using namespace sandboxd::test;

namespace {

constexpr const char* hello = "#include <stdio.h>\nint main(void) { puts(\"hi\"); return 0; }\n";

bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::string nsjail()
{
    if (const char* given = std::getenv("SANDBOXD_TEST_NSJAIL")) return given;
    for (const auto* path : {"/usr/local/bin/nsjail", "/usr/bin/nsjail"}) {
        if (::access(path, X_OK) == 0) return path;
    }
    return {};
}

// Compiles, fails, runs into the time limit; nothing must be left after any of these.
void try_out(server_process& server, const std::string& kind)
{
    http_client client{server};
    CHECK(client.get("/version").json().at("jail").as_string() == kind);
    // On a busy machine one attempt can take longer than the limit.
    CHECK(eventually([&] { return client.post("/compile", {{"code", hello}}).status == 200; }));
    CHECK(server.clean());
    CHECK(eventually([&] {
        return client.post("/compile", {{"code", "int main( {"}}).json().at("code").as_string() == "compile_error";
    }));
    CHECK(server.clean());
    CHECK(client.post("/compile", {{"code", slow_source()}, {"type", "cpp"}}).json().at("code").as_string() ==
          "timeout");
    CHECK(server.clean());
    CHECK(server.stop().code == 0);
    CHECK(holds(server.log(), "jail kind=" + kind + " walls="));
}

}  // namespace

TEST_CASE("jail none works, and warns on every start", "[jail]")
{
    const temporary_directory work;
    for (int start = 0; start < 2; ++start) {
        server_process server{{.config = R"("jail": "none", "compileTimeoutSecs": 5)", .working_dir = work.path()}};
        CHECK(holds(server.log(), "warning jail \\\"none\\\": compilers run with the rights of the server"));
        if (start == 0) try_out(server, "none");
    }
}

TEST_CASE("jail bubblewrap", "[jail]")
{
    server_process server{{.config = R"("jail": "bubblewrap", "compileTimeoutSecs": 5)"}};
    CHECK_FALSE(holds(server.log(), "jail \\\"none\\\""));
    try_out(server, "bubblewrap");
}

TEST_CASE("jail namespaces", "[jail]")
{
    server_process server{{.config = R"("jail": "namespaces", "compileTimeoutSecs": 5)"}};
    CHECK_FALSE(holds(server.log(), "jail \\\"none\\\""));
    try_out(server, "namespaces");
}

TEST_CASE("jail nsjail", "[jail]")
{
    const auto path = nsjail();
    if (path.empty()) SKIP("nsjail is not installed; set SANDBOXD_TEST_NSJAIL to its path to test with it");
    server_process server{
        {.config = R"("nsjailEnabled": true, "compileTimeoutSecs": 5, "nsjailPath": ")" + path + "\""}};
    try_out(server, "nsjail");
}

TEST_CASE("auto takes the strongest that works", "[jail]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    CHECK(client.get("/readyz").json().at("jail").as_string() == "namespaces");
    CHECK(server.logs("jail kind=namespaces walls="));
}

TEST_CASE("auto takes nsjail where namespaces and bubblewrap do not work", "[jail]")
{
    const auto path = nsjail();
    if (path.empty()) SKIP("nsjail is not installed; the fall-back to it is not tested");
    server_process second{
        {.config = std::string{no_toolchain} +
                   R"(, "faas": {"initPath": "/no/such"}, "bubblewrapPath": "/bin/false", "nsjailPath": ")" + path +
                   "\"",
         .wait_ready = false}};
    http_client other{second};
    CHECK(other.get("/readyz").json().at("jail").as_string() == "nsjail");
}

TEST_CASE("without a working jail the server does not start, and names the cure", "[jail]")
{
    const temporary_directory own;
    struct attempt {
        const char* config;
        const char* reason;
        const char* cure;
    };
    const attempt table[] = {
        {R"({"faas": {"initPath": "/no/such"}, "bubblewrapPath": "/bin/false", "nsjailPath": "/bin/false"})",
         "jail: no jail works here (namespaces: sandboxd-init is missing (/no/such); set faas.initPath; bubblewrap: ",
         "Allow user namespaces, which bubblewrap needs"},
        {R"({"faas": {"initPath": "/no/such"}, "bubblewrapPath": "/no/such", "nsjailPath": "/no/such"})",
         "jail: no jail works here (namespaces: sandboxd-init is missing (/no/such); set faas.initPath; bubblewrap: "
         "/no/such is not an executable file; nsjail: /no/such",
         "Install bubblewrap (apt-get install bubblewrap)"},
        {R"({"faas": {"initPath": "/no/such"}, "jail": "nsjail", "nsjailPath": "/no/such", "bubblewrapPath": "/no/such"})",
         "jail: the jail \"nsjail\" does not work here (/no/such is not an executable file)",
         "Install bubblewrap (apt-get install bubblewrap)"},
        {R"({"faas": {"initPath": "/no/such"}, "nsjailEnabled": true, "nsjailPath": "/no/such",
            "bubblewrapPath": "/bin/false"})",
         "nsjailEnabled: the jail \"nsjail\" does not work here (/no/such is not an executable file)",
         "Allow user namespaces, which bubblewrap needs"},
    };
    for (const auto& one : table) {
        INFO(one.config);
        std::ofstream{own / "config.json"} << one.config;
        const auto ran =
            run_sandboxd({"--config", own / "config.json", "--addr", "127.0.0.1:0", "--working-dir", own.path()});
        CHECK(ran.end.exited);
        CHECK(ran.end.code == 2);
        CHECK(ran.out.empty());
        INFO(ran.err);
        CHECK(holds(ran.err, (own / "config.json").native() + ": " + one.reason));
        // What helps comes first; to go without a wall comes last.
        CHECK(holds(ran.err, one.cure));
        CHECK(ran.err.find(one.cure) < ran.err.find("The jail \"none\" does not isolate anything"));
        // The last line, and the only one of its kind.
        const auto line = ran.err.find("sandboxd: ");
        CHECK(ran.err.find('\n', line) == ran.err.size() - 1);
    }
}

// fastify listens on `localhost`, and so does whoever fetches from its own server.
TEST_CASE("localhost has an address in a jail with a network of its own", "[jail][faas]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    http_client client{server};
    for (const std::string runtime : {"node", "bun"}) {
        CAPTURE(runtime);
        if (!holds(client.get("/runtimes").body, "\"" + runtime + "\"")) {
            WARN("left out: " << runtime << " is not there");
            continue;
        }
        const auto made = client.post(
            "/faas/deploy",
            {{"runtime", runtime},
             {"code",
              "const port = process.env.PORT;"
              "require('http').createServer(async (q, r) => {"
              "  if (q.url.endsWith('inner')) return r.end('reached');"
              "  const got = await fetch(`http://localhost:${port}/inner`).then(a => a.text(), e => e.message);"
              "  r.end(got + ' ' + require('os').userInfo().username);"
              "}).listen(port, 'localhost');"}});
        INFO(made.body);
        REQUIRE(made.status == 200);
        const auto id = std::string{made.json().at("deployment_id").as_string()};
        const auto said = client.get("/faas/" + id + "/").body;
        // Bun goes by $USER.
        CHECK((said == "reached sandbox" || (runtime == "bun" && said == "reached unknown")));
        CHECK(client.request("DELETE", "/faas/deployments/" + id, {}, {}).status == 204);
    }
}
