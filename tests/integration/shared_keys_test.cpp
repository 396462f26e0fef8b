// Keys that are made while servers run: on one, for all; with real nginx and a real Redis.
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/keys.hpp"
#include "support/server_process.hpp"
#include "support/shared_engines.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

// No wait of these tests ends by its time, however slow the machine is.
constexpr const char* patient = R"(, "leaseSecs": 600, "redisTimeoutMs": 60000, "keysPollMs": 100)";

const auto op = with_key("key-of-op");

std::string text(const json::value& from, const char* key) { return std::string{from.at(key).as_string()}; }

std::string code_of(const http_answer& answer)
{
    INFO(answer.body);
    return text(answer.json(), "code");
}

// What servers that share everything have in common, also the file with the first keys.
struct fleet : shared_engines {
    server_options options(const std::string& of_keys = {}, const std::string& of_cluster = patient) const
    {
        return {.config = config(of_cluster) + ", " + no_toolchain + ", " + file.config(of_keys), .wait_ready = false};
    }

    keys_file file{{{"op", "key-of-op", every_scope}, {"other", "key-of-other", {"compile", "sandbox"}}}};
};

bool says(http_client& client, const std::string& sample)
{
    return client.get("/metrics", op).body.find("\n" + sample + "\n") != std::string::npos;
}

json::object key_named(const std::string& name) { return {{"name", name}, {"scopes", json::array{"sandbox"}}}; }

json::value made(http_client& client, const json::object& what)
{
    const auto answer = client.post("/admin/keys", what, op);
    INFO(answer.body);
    REQUIRE(answer.status == 201);
    return answer.json();
}

// 200: it is a key; 401: it is none.
unsigned status_with(http_client& client, const std::string& key)
{
    return client.get("/runtimes", with_key(key)).status;
}

std::string digest_of(const std::string& key) { return sandboxd::to_hex(sandboxd::sha256_of(key)); }

// The key with this digest in the list; null: it is not there.
json::value listed(http_client& client, const std::string& digest)
{
    const auto all = client.get("/admin/keys", op).json();
    CHECK(all.at("count").as_int64() == static_cast<std::int64_t>(all.at("keys").as_array().size()));
    for (const auto& one : all.at("keys").as_array())
        if (one.at("sha256").as_string() == digest) return one;
    return {};
}

}  // namespace

TEST_CASE("a key that one server makes opens all, until any takes it away", "[cluster][tenants]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    const fleet all;
    server_process one{all.options()};
    server_process two{all.options()};
    http_client first{one};
    http_client second{two};
    REQUIRE(is_connected(one, op));
    REQUIRE(is_connected(two, op));
    const auto answer = first.post("/admin/keys",
                                   {{"name", "ci"},
                                    {"scopes", json::array{"sandbox", "admin"}},
                                    {"limits", json::object{{"requestsPerMinute", 1}}}},
                                   op);
    INFO(answer.body);
    REQUIRE(answer.status == 201);
    CHECK(answer.field("cache-control") == "no-store");
    const auto told = answer.json();
    const auto key = text(told, "key");
    const auto digest = digest_of(key);
    CHECK(key.size() == 64);
    CHECK(told.at("ok").as_bool());
    CHECK(text(told, "name") == "ci");
    CHECK(text(told, "sha256") == digest);
    CHECK(text(told, "by") == "op");
    CHECK(json::serialize(told.at("scopes")) == R"(["sandbox","admin"])");
    CHECK(json::serialize(told.at("limits")) == R"({"requestsPerMinute":1})");
    // Here at once, there a moment later; with all that it may, and no more.
    CHECK(status_with(first, key) == 200);
    CHECK(eventually([&] { return status_with(second, key) == 200; }));
    CHECK(second.get("/metrics", with_key(key)).status == 200);
    // Who may read the metrics makes no keys.
    CHECK(code_of(second.get("/admin/keys", with_key(key))) == "insufficient_scope");
    CHECK(second.post("/execute", json::object{{"script", "1"}}, with_key(key)).status == 403);
    CHECK(second.post("/sandbox", json::object{}, with_key(key)).status == 400);
    CHECK(code_of(second.post("/sandbox", json::object{}, with_key(key))) == "tenant_request_limit");
    for (auto* const each : {&first, &second}) {
        const auto its = listed(*each, digest);
        REQUIRE(its.is_object());
        CHECK(text(its, "name") == "ci");
        CHECK(text(its, "from") == "redis");
        CHECK(text(its, "created") == text(told, "created"));
        CHECK(text(its, "by") == "op");
        CHECK(json::serialize(its.at("limits")) == R"({"requestsPerMinute":1})");
        CHECK(text(listed(*each, digest_of("key-of-op")), "from") == "file");
        CHECK(each->get("/admin/keys", op).body.find(key) == std::string::npos);
        CHECK(says(*each, "sandboxd_auth_keys{from=\"redis\"} 1"));
        CHECK(says(*each, "sandboxd_auth_keys{from=\"file\"} 2"));
    }

    CHECK(second.request("DELETE", "/admin/keys/" + digest, op).status == 204);
    CHECK(status_with(second, key) == 401);
    CHECK(eventually([&] { return status_with(first, key) == 401; }));
    CHECK(code_of(first.request("DELETE", "/admin/keys/" + digest, op)) == "not_found");
    CHECK(listed(first, digest).is_null());
    // The name is free, and the same tenant.
    const auto again = text(made(first, key_named("ci")), "key");
    CHECK(again != key);
    CHECK(status_with(first, again) == 200);
    CHECK(one.stop().code == 0);
    CHECK(two.stop().code == 0);
    for (const auto* const each : {&one, &two}) {
        const auto log = each->log();
        for (const auto& secret : {key, again}) CHECK(log.find(secret) == std::string::npos);
    }
    CHECK(one.log().find("audit: changed what=\"create key\" which=\"ci sha256:" + digest.substr(0, 16) +
                         "\" tenant=op") != std::string::npos);
    CHECK(two.log().find("audit: changed what=\"delete key\" which=\"ci sha256:" + digest.substr(0, 16) +
                         "\" tenant=op") != std::string::npos);
}

TEST_CASE("keys outlive the servers that have made them", "[cluster][tenants]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    const fleet all;
    std::string key;
    {
        server_process one{all.options()};
        http_client first{one};
        REQUIRE(is_connected(one, op));
        key = text(made(first, key_named("ci")), "key");
        CHECK(one.stop().code == 0);
    }
    server_process two{all.options()};
    http_client second{two};
    CHECK(eventually([&] { return status_with(second, key) == 200; }));
}

TEST_CASE("what a key to be made must not be is refused, with the cure", "[cluster][tenants]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    const fleet all;
    server_process one{all.options(R"("maxKeys": 4)")};
    http_client first{one};
    REQUIRE(is_connected(one, op));
    const struct {
        json::object body;
        std::string said;
    } rows[] = {
        {{}, "name is required"},
        {{{"name", "a"}}, "scopes is required"},
        {{{"name", "a b"}, {"scopes", json::array{"compile"}}}, "name is 'a b', but must be 1 to 64 letters"},
        {{{"name", "a"}, {"scopes", json::array{}}}, "scopes is empty"},
        {{{"name", "a"}, {"scopes", json::array{"root"}}}, "scopes[0] is 'root'; there are compile, execute"},
        {{{"name", "a"}, {"scopes", json::array{"compile"}}, {"limit", json::object{}}},
         "limit is not known here; did you mean limits?"},
        {{{"name", "a"}, {"scopes", json::array{"compile"}}, {"sha256", digest_of("chosen")}},
         "sha256 is not known here"},
        {{{"name", "a"}, {"scopes", json::array{"compile"}}, {"limits", json::object{{"deployments", 0}}}},
         "limits.deployments must be"},
    };
    for (const auto& [body, said] : rows) {
        CAPTURE(said);
        const auto refused = first.post("/admin/keys", body, op);
        CHECK(refused.status == 400);
        CHECK(code_of(refused) == "invalid_request");
        CHECK(text(refused.json(), "error").find(said) == 0);
    }
    CHECK(first.request("POST", "/admin/keys", op, "{}").status == 415);
    // Who may not.
    const auto lacking = first.post("/admin/keys", key_named("a"), with_key("key-of-other"));
    CHECK(lacking.status == 403);
    CHECK(code_of(lacking) == "insufficient_scope");
    CHECK(first.get("/admin/keys", with_key("key-of-other")).status == 403);
    CHECK(first.request("DELETE", "/admin/keys/" + digest_of("key-of-op"), with_key("key-of-other")).status == 403);
    CHECK(first.post("/admin/keys", key_named("a")).status == 401);
    auto page = op;
    page.emplace_back("Origin", "https://evil.example");
    CHECK(code_of(first.post("/admin/keys", key_named("a"), page)) == "forbidden");

    // A name is one tenant's, with one key.
    const auto of_file = first.post("/admin/keys", key_named("other"), op);
    CHECK(code_of(of_file) == "conflict");
    CHECK(text(of_file.json(), "error").find("auth.keysFile") != std::string::npos);
    made(first, key_named("a"));
    CHECK(code_of(first.post("/admin/keys", key_named("a"), op)) == "conflict");
    // The file is its writer's.
    const auto kept = first.request("DELETE", "/admin/keys/" + digest_of("key-of-other"), op);
    CHECK(code_of(kept) == "conflict");
    CHECK(text(kept.json(), "error").find("take it out there") != std::string::npos);
    CHECK(status_with(first, "key-of-other") == 200);
    for (const auto& none : {digest_of("nobody's"), std::string{"a"}, std::string(64, 'A')})
        CHECK(first.request("DELETE", "/admin/keys/" + none, op).status == 404);

    // No answer is kept, neither one with a key nor an error: the same request again is another one.
    auto once = op;
    once.emplace_back("Idempotency-Key", "one");
    const auto answered = first.post("/admin/keys", key_named("b"), once);
    CHECK(answered.status == 201);
    const auto repeated = first.post("/admin/keys", key_named("b"), once);
    CHECK(code_of(repeated) == "conflict");
    CHECK(repeated.body.find(text(answered.json(), "key")) == std::string::npos);
    CHECK(first.request("DELETE", "/admin/keys/" + text(answered.json(), "sha256"), op).status == 204);
    const auto anew = first.post("/admin/keys", key_named("b"), once);
    CHECK(anew.status == 201);
    CHECK(anew.field("idempotency-replayed").empty());
    // Two of the file, and two that were made.
    const auto full = first.post("/admin/keys", key_named("c"), op);
    CHECK(full.status == 503);
    CHECK(code_of(full) == "queue_full");
    CHECK(text(full.json(), "error").find("auth.maxKeys") != std::string::npos);
}

TEST_CASE("of two keys of one name that two servers make at once, one is made", "[cluster][tenants]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    const fleet all;
    server_process one{all.options()};
    server_process two{all.options()};
    http_client first{one};
    http_client second{two};
    REQUIRE(is_connected(one, op));
    REQUIRE(is_connected(two, op));
    first.start_post("/admin/keys", key_named("ci"), op);
    second.start_post("/admin/keys", key_named("ci"), op);
    const auto mine = first.receive();
    const auto theirs = second.receive();
    CHECK(mine.status + theirs.status == 201 + 409);
    CHECK(code_of(mine.status == 409 ? mine : theirs) == "conflict");
    const auto key = text((mine.status == 201 ? mine : theirs).json(), "key");
    for (auto* const each : {&first, &second}) CHECK(eventually([&] { return status_with(*each, key) == 200; }));
    CHECK(all.redis.say("HLEN sandboxd:keys") == ":1\r\n");
}

TEST_CASE("what is written into Redis by hand is no key", "[cluster][tenants]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    const fleet all;
    server_process one{all.options()};
    http_client first{one};
    REQUIRE(is_connected(one, op));
    const auto right = text(made(first, key_named("ci")), "key");
    const std::string chosen = "key-of-an-intruder";
    const std::string what = R"({\"name\":\"intruder\",\"scopes\":[\"admin\"],\"limits\":{},\"created\":1})";
    all.redis.say("HSET sandboxd:keys " + digest_of(chosen) + " \"" + std::string(64, '0') + "\\n" + what + "\"");
    all.redis.say("HSET sandboxd:key-names intruder " + digest_of(chosen));
    all.redis.say("SET sandboxd:keys-version another");
    // It was read, and was none.
    CHECK(eventually([&] {
        return first.get("/metrics", op).body.find(R"(sandboxd_cluster_keys_total{what="read",result="refused"})") !=
               std::string::npos;
    }));
    CHECK(status_with(first, chosen) == 401);
    CHECK(status_with(first, right) == 200);
    CHECK(listed(first, digest_of(chosen)).is_null());
    CHECK(one.logs("Redis has a key that this server cannot take for one of this fleet's"));
    // What takes a place can be taken away.
    CHECK(first.request("DELETE", "/admin/keys/" + digest_of(chosen), op).status == 204);
    CHECK(first.request("DELETE", "/admin/keys/" + digest_of(chosen), op).status == 404);
    CHECK(all.redis.say("HLEN sandboxd:keys") == ":1\r\n");
    CHECK(status_with(first, right) == 200);
    CHECK(one.logs("which=\"(unreadable) sha256:" + digest_of(chosen).substr(0, 16)));
}

TEST_CASE("while Redis is away known keys open the server, and none is made or taken away", "[cluster][tenants]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    fleet all;
    const std::string short_calls = R"(, "leaseSecs": 600, "redisTimeoutMs": 5000, "keysPollMs": 100)";
    server_process one{all.options({}, short_calls)};
    http_client first{one};
    REQUIRE(is_connected(one, op));
    const auto key = text(made(first, key_named("ci")), "key");
    all.redis.end();
    REQUIRE(eventually([&] { return says(first, "sandboxd_cluster_redis_connected 0"); }));
    CHECK(status_with(first, key) == 200);
    CHECK(text(listed(first, digest_of(key)), "name") == "ci");
    for (const auto& refused : {first.post("/admin/keys", key_named("more"), op),
                                first.request("DELETE", "/admin/keys/" + digest_of(key), op)}) {
        CHECK(refused.status == 503);
        CHECK(code_of(refused) == "index_unavailable");
        CHECK(refused.field("retry-after") == "1");
    }
    CHECK(status_with(first, key) == 200);
    CHECK(first.get("/readyz").body.find("cluster.redis: Redis cannot be used") != std::string::npos);
    // A server that starts meanwhile knows those of its file, and that there may be others.
    server_process two{all.options({}, short_calls)};
    http_client second{two};
    CHECK(status_with(second, "key-of-op") == 200);
    CHECK(second.get("/runtimes").status == 401);
    const auto early = second.get("/runtimes", with_key(key));
    CHECK(early.status == 503);
    CHECK(code_of(early) == "index_unavailable");
    CHECK(early.field("retry-after") == "1");
    CHECK(early.field("www-authenticate").empty());
    CHECK(says(second, "sandboxd_auth_refused_total{reason=\"not_known_yet\"} 1"));
    // No list without them.
    CHECK(code_of(second.get("/admin/keys", op)) == "index_unavailable");
    const std::string not_known = "the keys that servers share are not known yet";
    CHECK(second.get("/readyz").body.find(not_known) != std::string::npos);
    CHECK(first.get("/readyz").body.find(not_known) == std::string::npos);
    // A Redis that has forgotten everything has no keys.
    all.redis.start_again();
    CHECK(eventually([&] { return status_with(first, key) == 401; }));
    CHECK(eventually([&] { return status_with(second, key) == 401; }));
    CHECK(second.get("/readyz").body.find(not_known) == std::string::npos);
    CHECK(second.get("/admin/keys", op).status == 200);
    CHECK(status_with(first, "key-of-op") == 200);
    CHECK(eventually([&] { return first.post("/admin/keys", key_named("ci"), op).status == 201; }));
}

TEST_CASE("a server that shares nothing makes no keys, and says why", "[tenants]")
{
    const keys_file file{{{"op", "key-of-op", every_scope}}};
    server_process alone{{.config = std::string{no_toolchain} + ", " + file.config(), .wait_ready = false}};
    http_client client{alone};
    const auto refused = client.post("/admin/keys", key_named("ci"), op);
    CHECK(refused.status == 422);
    CHECK(code_of(refused) == "unprocessable");
    CHECK(text(refused.json(), "error").find("cluster.redis") != std::string::npos);
    CHECK(text(listed(client, digest_of("key-of-op")), "from") == "file");
    CHECK(client.request("DELETE", "/admin/keys/" + digest_of("key-of-op"), op).status == 409);
    CHECK(client.request("DELETE", "/admin/keys/" + digest_of("none"), op).status == 404);

    server_process open{{.config = no_toolchain, .wait_ready = false}};
    http_client anybody{open};
    const auto none = anybody.post("/admin/keys", key_named("ci"));
    CHECK(none.status == 422);
    CHECK(text(none.json(), "error").find("auth.keysFile") != std::string::npos);
    CHECK(anybody.get("/admin/keys").json().at("count").as_int64() == 0);
    CHECK(anybody.request("DELETE", "/admin/keys/" + digest_of("none")).status == 404);
}
