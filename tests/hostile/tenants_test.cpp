// Clients who have no key, and try.
#include "arena.hpp"
#include "support/http_client.hpp"
#include "support/keys.hpp"
#include "support/server_process.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <string>
#include <vector>

using namespace sandboxd::test;
using namespace std::string_literals;
namespace json = boost::json;

namespace {

constexpr const char* key = "key-of-a";

server_options keyed(const keys_file& keys, const std::string& more = {})
{
    return {.config = std::string{no_toolchain} + ", " + more + keys.config(), .wait_ready = false};
}

}  // namespace

TEST_CASE("no spelling of a wrong Authorization lets a request in", "[hostile][tenants]")
{
    const keys_file keys{{{"a", key, {"sandbox"}}}};
    const server_process server{keyed(keys)};
    const auto digest = sandboxd::to_hex(sandboxd::sha256_of(key));
    const std::string k = key;
    const std::vector<std::string> fields{
        "Authorization: ",
        "Authorization:",
        "Authorization: Bearer",
        "Authorization: Bearer ",
        "Authorization: " + k,
        "Authorization: Bearer" + k,
        "Authorization: Bearer:" + k,
        "Authorization: Bearer=" + k,
        "Authorization: Bearer\t" + k,
        "Authorization: Bearer " + k + "=",
        "Authorization: Bearer " + k + " x",
        "Authorization: Bearer x " + k,
        "Authorization: Bearer \"" + k + "\"",
        "Authorization: Bearer '" + k + "'",
        "Authorization: Bearer <" + k + ">",
        "Authorization: Bearer " + k + ",",
        "Authorization: Bearer " + k + ", Bearer " + k,
        "Authorization: Bearer " + k + ";",
        "Authorization: Bearer " + k.substr(0, k.size() - 1),
        "Authorization: Bearer " + k + "a",
        "Authorization: Bearer KEY-OF-A",
        "Authorization: Bearer key%2Dof%2Da",
        "Authorization: Bearer " + digest,
        "Authorization: Bearer sha256:" + digest,
        "Authorization: Bearer *",
        "Authorization: Bearer null",
        "Authorization: Bearer undefined",
        "Authorization: Bearer {}",
        "Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.",
        "Authorization: Bearer ../../keys.json",
        "Authorization: Bearer ' OR '1'='1",
        "Authorization: Bearer \xd0\xba"
        "ey-of-a",
        "Authorization: Bearer " + std::string(513, 'x'),
        "Authorization: Bearer " + std::string(8000, '='),
        "Authorization: Basic a2V5LW9mLWE6",
        "Authorization: Basic OmtleS1vZi1h",
        "Authorization: Digest username=\"a\", response=\"key-of-a\"",
        "Authorization: Token " + k,
        "Authorization: ApiKey " + k,
        "Authorization: Negotiate " + k,
        "Authorization: Bearer " + k + "\r\nAuthorization: Bearer " + k,
        "Authorization: Bearer x\r\nAuthorization: Bearer " + k,
        "Authorization: Bearer " + k + "\r\nAuthorization: Bearer x",
        "Authorization: Basic eDp5\r\nAuthorization: Bearer " + k,
        "Authorization: Bearer " + k + "\r\nAuthorization:",
        "Authorization : Bearer " + k,
        " Authorization: Bearer " + k,
        "Authorization: Bearer\r\n " + k,
        "X-Authorization: Bearer " + k,
        "Author_ization: Bearer " + k,
        "Proxy-Authorization: Bearer " + k,
        "X-Api-Key: " + k,
        "Api-Key: " + k,
        "Cookie: key=" + k + "; Authorization=Bearer " + k,
        "X-Tenant: a",
        "X-Forwarded-User: a",
        "X-Forwarded-For: 127.0.0.1",
        "Connection: Authorization",
        "Authorization: Bearer \0"s + k,
        "Authorization: Bearer " + k + "\0"s,
    };
    for (const auto& one : fields) {
        attack();
        CAPTURE(one);
        http_client client{server};
        REQUIRE(client.send("GET /sandboxes HTTP/1.1\r\nHost: localhost\r\n" + one + "\r\n\r\n"));
        const auto answer = client.receive();
        CHECK((answer.status == 400 || answer.status == 401));
        CHECK(answer.body.find(k) == std::string::npos);
    }
    const std::vector<std::string> targets{"/sandboxes?access_token=" + k,
                                           "/sandboxes?key=" + k,
                                           "//sandboxes",
                                           "/sandboxes/",
                                           "/SANDBOXES",
                                           "/%73andboxes",
                                           "/healthz/../sandboxes",
                                           "/./sandboxes",
                                           "/faas/../sandboxes",
                                           "http://a:" + k + "@localhost/sandboxes",
                                           "/sandboxes#/healthz",
                                           "/healthz;/sandboxes",
                                           "/sandboxes;x"};
    for (const auto& one : targets) {
        attack();
        CAPTURE(one);
        http_client client{server};
        REQUIRE(client.send("GET " + one + " HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        CHECK(client.receive().status >= 400);
    }
    for (const auto* method : {"HEAD", "POST", "PUT", "DELETE", "PATCH", "get", "GETS"}) {
        attack();
        CAPTURE(method);
        http_client client{server};
        REQUIRE(client.send(std::string{method} +
                            " /sandboxes HTTP/1.1\r\nHost: localhost\r\nX-HTTP-Method-Override: GET\r\n"
                            "Content-Length: 0\r\n\r\n"));
        CHECK(client.receive(std::string{method} == "HEAD").status >= 400);
    }
    http_client client{server};
    CHECK(client.get("/sandboxes", with_key(key)).status == 200);
    CHECK(client.get("/sandboxes", {{"authorization", "bearer   " + k}}).status == 200);
}

TEST_CASE("a key of 60 KB is refused, before and behind the limit of headers", "[hostile][tenants]")
{
    const keys_file keys{{{"a", key, {"sandbox"}}}};
    const auto long_key = std::string(60 * 1024, 'k');
    attack(2);
    {
        const server_process server{keyed(keys)};
        http_client client{server};
        CHECK(client.get("/sandboxes", with_key(long_key)).status == 431);
    }
    const server_process server{keyed(keys, R"("http": {"maxHeaderBytes": 1048576}, )")};
    http_client client{server};
    const auto answer = client.get("/sandboxes", with_key(long_key));
    CHECK(answer.status == 401);
    CHECK(answer.body.size() < 500);
    CHECK(client.get("/sandboxes", with_key(key)).status == 200);
}

TEST_CASE("guesses of keys are all refused, and the server goes on for those who have one", "[hostile][tenants]")
{
    std::vector<told_key> many;
    for (int i = 0; i < 999; ++i) many.push_back({"t" + std::to_string(i), "key-" + std::to_string(i), {"sandbox"}});
    many.push_back({"a", key, {"sandbox", "admin"}});
    const keys_file keys{many};
    const server_process server{keyed(keys)};
    http_client guesser{server};
    http_client client{server};
    constexpr int rounds = 20;
    constexpr int at_once = 200;
    int refused = 0;
    for (int round = 0; round < rounds; ++round) {
        std::string all;
        for (int i = 0; i < at_once; ++i)
            all += "GET /sandboxes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess-" +
                   std::to_string(round * at_once + i) + "\r\n\r\n";
        REQUIRE(guesser.send(all));
        // While they are there.
        CHECK(client.get("/sandboxes", with_key(key)).status == 200);
        for (int i = 0; i < at_once; ++i) refused += guesser.receive().status == 401 ? 1 : 0;
    }
    attack(rounds * at_once);
    CHECK(refused == rounds * at_once);
    const auto metrics = client.get("/metrics", with_key(key)).body;
    CHECK(metrics.find("sandboxd_auth_refused_total{reason=\"unknown\"} " + std::to_string(refused) + "\n") !=
          std::string::npos);
    // No guess has become a name.
    CHECK(metrics.find("guess") == std::string::npos);
}

TEST_CASE("no program sees a key of this server", "[hostile][tenants]")
{
    const keys_file keys{{{"a", key, {"deploy"}}, {"b", "key-of-b", {"deploy"}}}};
    const server_process server{keyed(keys)};
    http_client client{server};
    constexpr const char* mirror =
        "require('http').createServer((q, r) => r.end(JSON.stringify(q.rawHeaders))).listen(process.env.PORT)";
    const auto made = client.post("/faas/deploy", json::object{{"runtime", "node"}, {"code", mirror}}, with_key(key));
    if (made.status == 422) SKIP("there is no Node.js: " << made.body);
    REQUIRE(made.status == 200);
    const auto place = "/faas/" + std::string{made.json().at("deployment_id").as_string()};
    const std::string k = key;
    for (const auto& one : {"Bearer " + k, "bearer   " + k, "Bearer key-of-b"s, k, "Bearer \"" + k + "\"",
                            "Basic x, Bearer " + k, "Token token=" + k, "Bearer " + k + ", Basic eDp5"}) {
        attack();
        CAPTURE(one);
        const auto seen = client.get(place + "/", {{"Authorization", one}, {"X-Mine", "kept"}});
        CHECK(seen.status == 200);
        CHECK(seen.body.find("key-of-") == std::string::npos);
        CHECK(seen.body.find("uthorization") == std::string::npos);
        CHECK(seen.body.find("kept") != std::string::npos);
    }
    const auto twice = client.get(place + "/", {{"Authorization", "Basic eDp5"}, {"Authorization", "Bearer " + k}});
    CHECK(twice.body.find("key-of-") == std::string::npos);
    // Its own is its own, and needs no key of ours.
    for (const std::string one : {"Basic dXNlcjpwYXNz", "Bearer of-the-program"}) {
        const auto seen = client.get(place + "/", {{"Authorization", one}});
        CHECK(seen.status == 200);
        CHECK(seen.body.find(one) != std::string::npos);
    }
    // A key that counts no longer may still be in use elsewhere.
    keys.put({{"b", "key-of-b", {"deploy"}}});
    server.signal(SIGHUP);
    REQUIRE(server.logs("audit: keys loaded keys=1 added=0 removed=1"));
    CHECK(client.get(place + "/", with_key(key)).body.find("key-of-") == std::string::npos);
}
