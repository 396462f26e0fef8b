// What the clients of the sandbox service rely on: the commands of its manual as they are printed there, but for the
// port and the ids.
#include "support/command_output.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <cstdlib>
#include <string>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

constexpr const char* health = "curl http://localhost:8070/health";

constexpr const char* node = R"line(curl -X POST http://localhost:8070/sandbox \
  -H "Content-Type: application/json" \
  -d '{
    "runtime": "node",
    "code": "console.log(\"Hello from Node.js!\")",
    "timeout_ms": 5000,
    "memory_limit_mb": 128
  }')line";

constexpr const char* execute =
    "curl -X POST http://localhost:8070/sandbox/123e4567-e89b-12d3-a456-426614174000/execute";

constexpr const char* typescript = R"line(curl -X POST http://localhost:8070/sandbox \
  -H "Content-Type: application/json" \
  -d '{
    "runtime": "typescript",
    "code": "const greeting: string = \"Hello TypeScript!\"; console.log(greeting);",
    "timeout_ms": 10000,
    "memory_limit_mb": 256
  }')line";

constexpr const char* bun = R"line(curl -X POST http://localhost:8070/sandbox \
  -H "Content-Type: application/json" \
  -d '{
    "runtime": "bun",
    "code": "console.log(\"Hello from Bun!\"); console.log(Bun.version);",
    "timeout_ms": 5000,
    "memory_limit_mb": 128
  }')line";

constexpr const char* deploy = R"line(curl -X POST http://localhost:8070/faas/deploy \
  -H "Content-Type: application/json" \
  -d '{
    "runtime": "bun",
    "code": "console.log(\"Starting FaaS service...\");",
    "entry_point": "bun dev",
    "files": [
      {
        "path": "package.json",
        "content": "{\"name\": \"my-faas\", \"scripts\": {\"dev\": \"bun run --hot index.ts\"}, \"dependencies\": {\"express\": \"^4.18.2\"}}"
      },
      {
        "path": "index.ts",
        "content": "import express from \"express\"; const app = express(); app.get(\"/\", (req, res) => res.json({message: \"Hello from FaaS!\", timestamp: new Date().toISOString()})); app.listen(3000, () => console.log(\"FaaS service running!\"));"
      }
    ],
    "auto_scale": {
      "scale_down_after_minutes": 10
    }
  }')line";

constexpr const char* access_line = "curl http://127.0.0.1:8070/faas/4a5fded3-e704-40fa-84a5-fda2bc7ea548/";

constexpr const char* update =
    R"line(curl -X PUT http://127.0.0.1:8070/faas/deployments/4a5fded3-e704-40fa-84a5-fda2bc7ea548/files \
  -H "Content-Type: application/json" \
  -d '{
    "files": [
      {
        "path": "index.ts",
        "content": "import express from \"express\"; const app = express(); app.get(\"/\", (req, res) => res.json({message: \"Updated via API!\", timestamp: new Date().toISOString(), version: \"2.0.0\"})); app.get(\"/new\", (req, res) => res.json({message: \"New endpoint!\"})); app.listen(3000);"
      }
    ],
    "restart_dev_server": true
  }')line";

constexpr const char* access_new_line = "curl http://127.0.0.1:8070/faas/4a5fded3-e704-40fa-84a5-fda2bc7ea548/new";
constexpr const char* list = "curl http://localhost:8070/faas/deployments";
constexpr const char* remove_line =
    "curl -X DELETE http://localhost:8070/faas/deployments/4a5fded3-e704-40fa-84a5-fda2bc7ea548";

void replace(std::string& in, const std::string& what, const std::string& by)
{
    for (std::size_t at = 0; (at = in.find(what, at)) != std::string::npos; at += by.size())
        in.replace(at, what.size(), by);
}

// Runs a line of the manual against this server; returns what curl printed.
std::string run(const server_process& server, std::string line, const std::string& id = {})
{
    replace(line, ":8070", ":" + std::to_string(server.port()));
    replace(line, "123e4567-e89b-12d3-a456-426614174000", id);
    replace(line, "4a5fded3-e704-40fa-84a5-fda2bc7ea548", id);
    replace(line, "curl ", "curl -s --noproxy '*' --max-time 120 ");
    const auto ran = output_of(line + " 2>&1");
    INFO(line << "\n" << ran.out);
    CHECK(ran.code == 0);
    return ran.out;
}

std::string text(const std::string& answer, const char* key)
{
    INFO(answer);
    return std::string{json::parse(answer).at(key).as_string()};
}

bool has_bun(const server_process& server)
{
    http_client client{server};
    return client.get("/runtimes").body.find("\"bun\"") != std::string::npos;
}

}  // namespace

TEST_CASE("every line about sandboxes of the manual works", "[sandboxes][manual]")
{
    server_process server{{.config = no_toolchain, .wait_ready = false}};
    CHECK(text(run(server, health), "status") == "healthy");
    struct row {
        const char* create;
        const char* prints;
    };
    for (const auto& [create, prints] : {row{node, "Hello from Node.js!\n"}, row{typescript, "Hello TypeScript!\n"},
                                         row{bun, "Hello from Bun!\n1."}}) {
        if (create != node && !has_bun(server)) {
            WARN("left out: Bun is not there (it is fetched when the build is configured)");
            continue;
        }
        const auto id = text(run(server, create), "id");
        const auto told = run(server, execute, id);
        CHECK(text(told, "sandbox_id") == id);
        CHECK(text(told, "stdout").starts_with(prints));
        CHECK(json::parse(told).at("success").as_bool());
    }
    // The manual's request of the reference, as it is printed there.
    const auto id =
        text(run(server, R"line(curl -X POST http://localhost:8070/sandbox -H "Content-Type: application/json" -d '{
  "runtime": "node",
  "code": "console.log(\"Hello World\");",
  "entry_point": "index.js",
  "timeout_ms": 5000,
  "memory_limit_mb": 128,
  "env_vars": {
    "NODE_ENV": "sandbox"
  }
}')line"),
             "id");
    CHECK(text(run(server, execute, id), "stdout") == "Hello World\n");
    CHECK(text(run(server, "curl http://localhost:8070/sandbox/123e4567-e89b-12d3-a456-426614174000", id), "id") == id);
    CHECK(run(server, "curl http://localhost:8070/sandboxes").find(id) != std::string::npos);
    CHECK(run(server,
              "curl -o /dev/null -w '%{http_code}' -X DELETE "
              "http://localhost:8070/sandbox/123e4567-e89b-12d3-a456-426614174000",
              id) == "204");
}

TEST_CASE("every line about deployments of the manual works, express from the registry included", "[faas][manual]")
{
    if (output_of("npm --version 2>/dev/null").code != 0) SKIP("there is no npm, which knows the registry");
    auto registry = output_of("npm config get registry 2>/dev/null").out;
    while (registry.ends_with('\n')) registry.pop_back();
    if (output_of("npm view express@4 name --registry '" + registry + "' 2>/dev/null").code != 0)
        SKIP("the registry " + registry + " cannot be reached");
    const char* const ca = std::getenv("NODE_EXTRA_CA_CERTS");
    server_process server{{.config = std::string{no_toolchain} + R"(, "faas": {"registry": ")" + registry +
                                     R"(", "installCaFile": ")" + (ca ? ca : "") + "\"}",
                           .wait_ready = false}};
    if (!has_bun(server)) SKIP("Bun is not there (it is fetched when the build is configured)");
    const auto made = run(server, deploy);
    const auto id = text(made, "deployment_id");
    CHECK(text(made, "url").ends_with("/faas/" + id));
    CHECK_FALSE(text(made, "sandbox_id").empty());
    CHECK(text(made, "status") == "Running");
    CHECK(text(made, "runtime") == "bun");
    const auto first = run(server, access_line, id);
    CHECK(text(first, "message") == "Hello from FaaS!");
    CHECK_FALSE(text(first, "timestamp").empty());
    run(server, update, id);
    const auto second = run(server, access_line, id);
    CHECK(text(second, "message") == "Updated via API!");
    CHECK(text(second, "version") == "2.0.0");
    CHECK(text(run(server, access_new_line, id), "message") == "New endpoint!");
    CHECK(run(server, list).find(id) != std::string::npos);
    run(server, remove_line, id);
    CHECK(run(server, list).find(id) == std::string::npos);
}
