// Servers that share their artifacts through a cache: real nginx with WebDAV, and one that does as it is told.
#include "support/agent.hpp"
#include "support/cache_stand_in.hpp"
#include "support/certificate.hpp"
#include "support/nginx_cache.hpp"
#include "support/proc.hpp"
#include "support/refused_start.hpp"
#include "support/shared_artifacts.hpp"

#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <memory>
#include <string>

using namespace sandboxd;
using namespace sandboxd::test;
namespace json = boost::json;

namespace {

constexpr const char* hits = "sandboxd_store_remote_reads_total{result=\"hit\"}";
constexpr const char* misses = "sandboxd_store_remote_reads_total{result=\"miss\"}";
constexpr const char* compiled_here = "sandboxd_cache_requests_total{from=\"compiler\"}";
constexpr const char* brought = "sandboxd_cache_requests_total{from=\"remote\"}";

}  // namespace

TEST_CASE("what one server has compiled, no other compiles again", "[remote]")
{
    if (const auto why = nginx_cache::missing(); !why.empty()) SKIP(why);
    const nginx_cache cache;
    const secret key{fleet_key};
    const auto section = store_section(cache.url(), key);
    server_process one{{.config = section}};
    http_client client{one};
    const auto made = client.post("/compile", hello(1));
    INFO(made.body << cache.log());
    REQUIRE(made.status == 200);
    const auto id = id_of(made);
    const auto digests = digests_of(made);
    REQUIRE(has_shared(one, 1));
    CHECK(one.metric(misses) == 1);
    CHECK(cache.names("ac").size() == 1);
    CHECK(cache.names("cas").size() == 3);  // app.js, app.wasm, the record

    // A server that has never seen it.
    server_process other{{.config = section}};
    http_client another{other};
    const auto target = "/artifacts/" + id + "/";
    for (const std::string name : {"app.wasm", "app.js"}) {
        const auto got = another.get(target + name);
        CAPTURE(name, got.body.size());
        CHECK(got.status == 200);
        CHECK(to_hex(sha256_of(got.body)) == digests.at(name));
        CHECK(got.field("etag") == client.get(target + name).field("etag"));
    }
    CHECK(other.metric(hits) == 1);  // it is its own now
    CHECK(another.get(target + "app.data").status == 404);
    CHECK(other.metric(hits) == 1);
    CHECK(another.get("/artifacts/" + std::string(32, '0') + "/app.js").status == 404);
    CHECK(other.metric(misses) == 1);
    // What nobody can have is not asked for.
    CHECK(another.get("/artifacts/" + std::string(32, 'x') + "/app.js").status == 404);
    CHECK(another.get(target.substr(0, 20) + "/app.js").status == 404);
    CHECK(another.get("/artifacts/" + std::string(32, '0') + "/.record").status == 404);
    CHECK(other.metric(misses) == 1);
    auto again = another.post("/compile", hello(1)).json();
    CHECK(again.at("cached").as_bool());
    CHECK(other.metric(compiled_here) == 0);

    // A third one compiles it: it answers as the first one did.
    server_process third{{.config = section}};
    http_client last{third};
    auto same = last.post("/compile", hello(1));
    REQUIRE(same.status == 200);
    CHECK(same.json().at("cached").as_bool());
    CHECK(digests_of(same) == digests);
    CHECK(third.metric(compiled_here) == 0);
    CHECK(third.metric(brought) == 1);
    CHECK(last.get(target + "app.js", {{"Range", "bytes=0-9"}}).status == 206);

    // Also a source that the compiler rejects.
    const json::object wrong{{"code", "int main(void) { return x; }\n"}};
    const auto no = client.post("/compile", wrong);
    CHECK(no.status == 400);
    REQUIRE(has_shared(one, 2));
    const auto told = last.post("/compile", wrong);
    CHECK(told.status == no.status);
    CHECK(told.json().at("cached").as_bool());
    CHECK(told.json().at("diagnostics") == no.json().at("diagnostics"));
    CHECK(third.metric(compiled_here) == 0);

    // One that is made afresh goes there again.
    auto fresh = hello(1);
    fresh["cache"] = false;
    CHECK(last.post("/compile", fresh).status == 200);
    CHECK(has_shared(third, 1));
    CHECK(cache.names("cas").size() == 4);
    CHECK(third.stop().code == 0);
}

TEST_CASE("servers with another key have nothing in common", "[remote]")
{
    cache_stand_in cache;
    const secret key{fleet_key};
    const secret other_key{std::string(40, 'o')};
    server_process one{{.config = store_section(cache.url(), key)}};
    server_process other{{.config = store_section(cache.url(), other_key)}};
    http_client client{one};
    http_client another{other};
    const auto made = client.post("/compile", hello(2));
    REQUIRE(has_shared(one, 1));
    CHECK(another.get("/artifacts/" + id_of(made) + "/app.js").status == 404);
    CHECK_FALSE(another.post("/compile", hello(2)).json().at("cached").as_bool());
    REQUIRE(has_shared(other, 1));
    CHECK(cache.contents().size() == 5);  // two documents for the same three blobs
}

TEST_CASE("the cache is spoken to by TLS, with a credential, and only if it is the right one", "[remote]")
{
    if (const auto why = nginx_cache::missing(); !why.empty()) SKIP(why);
    const certificate right{"localhost"};
    const certificate wrong_host{"cache.example"};
    const secret key{fleet_key};
    const secret token{"Bearer 0123456789abcdef"};
    const nginx_cache cache{
        {.certificate = right.chain(), .private_key = right.private_key(), .authorization = "Bearer 0123456789abcdef"}};
    const auto trusting = [&](const certificate& whom, const secret* as = nullptr) {
        auto more = ", \"remoteCaFile\": \"" + whom.authority() + "\", \"remoteFailures\": 1";
        if (as) more += ", \"remoteCredentialFile\": \"" + as->path() + "\"";
        return more;
    };
    server_process one{{.config = store_section(cache.url(), key, trusting(right, &token))}};
    http_client client{one};
    const auto made = client.post("/compile", hello(3));
    INFO(cache.log() << one.log());
    REQUIRE(has_shared(one, 1));
    const auto target = "/artifacts/" + id_of(made) + "/app.wasm";
    {
        server_process other{{.config = store_section(cache.url(), key, trusting(right, &token))}};
        http_client another{other};
        const auto got = another.get(target);
        CHECK(got.status == 200);
        CHECK(to_hex(sha256_of(got.body)) == digests_of(made).at("app.wasm"));
        // Neither a name's look-up nor TLS starts one.
        const auto status = text_of("/proc/" + std::to_string(other.pid()) + "/status");
        CHECK(status.find("\nThreads:\t1\n") != std::string::npos);
    }

    struct row {
        const char* what;
        std::string url;
        std::string more;
        const char* trouble;
    };
    const nginx_cache elsewhere{
        {.certificate = wrong_host.chain(), .private_key = wrong_host.private_key(), .authorization = {}}};
    const secret bad_token{"Basic user:password"};
    const row rows[] = {
        {"an authority that is not trusted", cache.url(), trusting(wrong_host, &token), "the TLS handshake failed"},
        {"the system's authorities", cache.url(), ", \"remoteFailures\": 1", "the TLS handshake failed"},
        {"a certificate for another host", elsewhere.url(), trusting(wrong_host), "the TLS handshake failed"},
        {"another credential", cache.url(), trusting(right, &bad_token), "status 401"},
        {"no credential", cache.url(), trusting(right), "status 401"},
        {"no TLS", "http" + cache.url().substr(5), ", \"remoteFailures\": 1", "status 400"},
    };
    for (const auto& each : rows) {
        CAPTURE(each.what);
        server_process other{{.config = store_section(each.url, key, each.more)}};
        http_client another{other};
        CHECK(another.get(target).status == 503);
        const auto ready = another.get("/readyz");
        CHECK(ready.status == 200);
        CAPTURE(ready.body);
        CHECK(ready.body.find("store.remote: the cache fails") != std::string::npos);
        // The reason and the place are for the operator alone.
        CHECK(ready.body.find(each.trouble) == std::string::npos);
        CHECK(ready.body.find(each.url) == std::string::npos);
        CHECK(eventually([&] { return other.log().find(each.trouble) != std::string::npos; }));
        CHECK(other.log().find("0123456789abcdef") == std::string::npos);
        CHECK(other.metric("sandboxd_store_remote_unavailable") == 1);
        CHECK(other.metric(hits) == 0);
    }
}

TEST_CASE("what cannot be written now is written later, or not at all", "[remote]")
{
    cache_stand_in cache;
    const secret key{fleet_key};
    // It has no room; then it has.
    cache.lie([](const auto& asked) -> std::optional<cache_stand_in::answer> {
        if (asked.method != "PUT") return std::nullopt;
        return cache_stand_in::answer{cache_stand_in::whole("", "507 Insufficient Storage")};
    });
    {
        server_process one{{.config = store_section(cache.url(), key)}};
        http_client client{one};
        CHECK(client.post("/compile", hello(4)).status == 200);
        REQUIRE(eventually([&] { return cache.requests("PUT") > 0; }));
        CHECK(one.metric("sandboxd_store_remote_queued") == 1);
        CHECK(one.metric("sandboxd_store_remote_queued_bytes") > 1000);
        REQUIRE(eventually([&] { return client.get("/readyz").body.find("takes no artifacts") != std::string::npos; }));
        CHECK(client.get("/readyz").body.find("127.0.0.1") == std::string::npos);
        CHECK(eventually([&] { return one.log().find("status 507") != std::string::npos; }));
        cache.be_honest();
        REQUIRE(has_shared(one, 1));
        CHECK(client.get("/readyz").json().at("degraded").as_array().empty());
        CHECK(one.metric("sandboxd_store_remote_queued") == 0);
        CHECK(one.metric("sandboxd_store_remote_queued_bytes") == 0);
        CHECK(one.stop().code == 0);
    }
    // It does not want it: nobody asks again.
    cache.lie([](const auto& asked) -> std::optional<cache_stand_in::answer> {
        if (asked.method != "PUT") return std::nullopt;
        return cache_stand_in::answer{cache_stand_in::whole("", "403 Forbidden")};
    });
    {
        server_process one{{.config = store_section(cache.url(), key)}};
        http_client client{one};
        const auto before = cache.requests("PUT");
        CHECK(client.post("/compile", hello(5)).status == 200);
        CHECK(eventually([&] { return one.metric("sandboxd_store_remote_writes_total{result=\"failed\"}") == 1; }));
        CHECK(cache.requests("PUT") == before + 1);
    }
    // There is no room in the queue.
    cache.be_honest();
    for (const std::string limit : {"\"maxRemoteQueued\": 0", "\"maxRemoteQueueMB\": 0"}) {
        CAPTURE(limit);
        server_process one{{.config = store_section(cache.url(), key, ", " + limit)}};
        http_client client{one};
        const auto before = cache.requests("PUT");
        CHECK(client.post("/compile", hello(6)).status == 200);
        CHECK(one.metric("sandboxd_store_remote_writes_total{result=\"dropped\"}") == 1);
        CHECK(cache.requests("PUT") == before);
    }
}

TEST_CASE("an end in the middle of a fetch is an end like any other", "[remote]")
{
    cache_stand_in cache;
    const secret key{fleet_key};
    cache.lie([](const auto&) { return cache_stand_in::answer{.bytes = "", .never_close = true}; });
    server_process one{{.config = store_section(cache.url(), key, ", \"remoteTimeoutMs\": 60000") +
                                  ", \"shutdownGraceSecs\": 0, " + no_toolchain,
                        .wait_ready = false}};
    http_client client{one};
    REQUIRE(client.send("GET /artifacts/" + std::string(32, 'a') + "/app.js HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    REQUIRE(eventually([&] { return cache.requests("GET") == 1; }));
    CHECK(one.metric("sandboxd_store_remote_connections") == 1);
    // One fetch of an entry, however many ask; no more fetches than allowed.
    {
        server_process two{
            {.config =
                 store_section(cache.url(), key,
                               R"(, "remoteTimeoutMs": 60000, "maxRemoteFetches": 1, "maxRemoteFetchesPerClient": 1)") +
                 ", " + no_toolchain,
             .wait_ready = false}};
        http_client first{two};
        http_client second{two};
        http_client third{two};
        REQUIRE(first.send("GET /artifacts/" + std::string(32, 'a') + "/app.js HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        REQUIRE(second.send("GET /artifacts/" + std::string(32, 'a') + "/app.js HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        REQUIRE(eventually([&] { return cache.requests("GET") == 2; }));
        CHECK(third.get("/artifacts/" + std::string(32, 'b') + "/app.js").status == 503);
        CHECK(two.metric("sandboxd_store_remote_reads_total{result=\"client_share\"}") == 1);
        CHECK(cache.requests("GET") == 2);
    }
    // Long before the fetch would give up.
    one.signal(SIGTERM);
    CHECK(client.receive().status == 503);
    CHECK(one.wait().code == 0);
}

TEST_CASE("an agent hears that a resource is unavailable, not that there is none, while the cache is silent",
          "[remote][mcp]")
{
    cache_stand_in cache;
    const secret key{fleet_key};
    server_process server{{.config = store_section(cache.url(), key) + ", " + no_toolchain, .wait_ready = false}};
    http_client client{server};
    const auto read = [&client] {
        return agent::ask(client, "resources/read",
                          {{"uri", "http://localhost/artifacts/" + std::string(32, 'a') + "/app.js"}})
            .json()
            .at("error")
            .as_object();
    };
    CHECK(read().at("code") == -32602);
    cache.lie([](const auto&) { return cache_stand_in::answer{.bytes = "", .close = true}; });
    const auto silent = read();
    CHECK(silent.at("code") == -32603);
    CHECK(std::string{silent.at("message").as_string()}.find("unavailable") != std::string::npos);
}

TEST_CASE("a start with a cache that cannot be used says why", "[remote]")
{
    const secret key{fleet_key};
    const secret open_key{fleet_key, 0444};
    const secret short_key{"0123456789"};
    const secret token{"Bearer x"};
    const secret nonsense{"hunter2"};
    const auto file_of = [](const char* key_name, const std::string& path) {
        return std::string{", \""} + key_name + "\": \"" + path + "\"";
    };
    const refused_config rows[] = {
        {R"("store": {"remote": "http://127.0.0.1:1"})", "store.signingKeyFile: is missing"},
        {store_section("http://127.0.0.1:1", open_key), "other users"},
        {store_section("http://127.0.0.1:1", short_key), "too short"},
        {store_section("127.0.0.1:1", key), "store.remote: "},
        {store_section("http://a:b@127.0.0.1:1", key), "put them into a file"},
        {store_section("http://10.0.0.1:1", key, file_of("remoteCredentialFile", token.path())),
         "store.remoteCredentialFile: would be sent over http://"},
        {store_section("http://127.0.0.1:1", key, file_of("remoteCredentialFile", nonsense.path())), "neither"},
        {store_section("https://127.0.0.1:1", key, file_of("remoteCaFile", key.path())), "store.remoteCaFile: "},
        {store_section("http://127.0.0.1:1", key, file_of("remoteCaFile", key.path())), "has no use with http://"},
        {store_section("http://127.0.0.1:1", key, R"(, "remoteConnections": 1)"), "store.remoteConnections"},
    };
    check_refused(rows, "hunter2");
}
