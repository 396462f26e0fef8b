// Servers that wait for each other's compiles: real nginx as their cache, and a real Redis.
#include "support/certificate.hpp"
#include "support/held_toolchain.hpp"
#include "support/proc.hpp"
#include "support/redis_rights.hpp"
#include "support/refused_start.hpp"
#include "support/shared_engines.hpp"

#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <string>

using namespace sandboxd;
using namespace sandboxd::test;
namespace json = boost::json;

namespace {

constexpr const char* compiled_here = "sandboxd_cache_requests_total{from=\"compiler\"}";
constexpr const char* brought = "sandboxd_cache_requests_total{from=\"remote\"}";
constexpr const char* connected = "sandboxd_cluster_redis_connected";
constexpr const char* held = "sandboxd_cluster_leases_held";
constexpr const char* waiting = "sandboxd_cluster_compiles_waiting";
// No wait of these tests ends by its time, however slow the machine is.
constexpr const char* patient = R"(, "leaseSecs": 600, "compileWaitMs": 600000, "redisTimeoutMs": 60000)";

std::string turns(const std::string& what) { return "sandboxd_cluster_compile_turns_total{result=\"" + what + "\"}"; }

// What servers that share everything have in common, and a compiler that stands still when it is told to.
struct fleet : shared_engines {
    std::string config(const std::string& of_cluster = patient) const
    {
        return shared_engines::config(of_cluster) + ", " + toolchain.config();
    }
    std::string key_of(const http_answer& compiled) const { return "sandboxd:compile:" + id_of(compiled); }

    held_toolchain toolchain;
};

}  // namespace

TEST_CASE("what two servers are asked for at once, one of them compiles", "[cluster]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    fleet all;
    server_process one{{.config = all.config()}};
    server_process two{{.config = all.config()}};
    REQUIRE(is_connected(one));
    REQUIRE(is_connected(two));
    // It is one thread still, with Redis and its name's look-up.
    CHECK(text_of("/proc/" + std::to_string(one.pid()) + "/status").find("\nThreads:\t1\n") != std::string::npos);
    all.toolchain.hold();
    http_client first{one};
    http_client second{two};
    http_client third{two};
    first.start_post("/compile", hello(1));
    second.start_post("/compile", hello(1));
    REQUIRE(eventually(
        [&] { return one.metric(held) + two.metric(held) == 1 && one.metric(waiting) + two.metric(waiting) == 1; }));
    // Who asks for the same later waits with him.
    third.start_post("/compile", hello(1));
    REQUIRE(eventually([&] { return two.metric("sandboxd_cache_requests_total{from=\"flight\"}") == 1; }));
    all.toolchain.release();
    const auto made = first.receive();
    INFO(made.body << one.log() << two.log());
    REQUIRE(made.status == 200);
    for (auto* const other : {&second, &third}) {
        const auto same = other->receive();
        REQUIRE(same.status == 200);
        CHECK(digests_of(same) == digests_of(made));
    }
    CHECK(one.metric(compiled_here) + two.metric(compiled_here) == 1);
    CHECK(one.metric(brought) + two.metric(brought) == 1);
    CHECK(eventually([&] { return one.metric(held) + two.metric(held) == 0; }));
    const auto taken = one.metric(turns("taken")) + two.metric(turns("taken"));
    CHECK(taken >= 1);

    // What is in the cache needs no Redis, and what must be fresh asks nobody.
    CHECK(first.post("/compile", hello(1)).json().at("cached").as_bool());
    auto fresh = hello(1);
    fresh["cache"] = false;
    CHECK(second.post("/compile", fresh).status == 200);
    CHECK(one.metric(turns("taken")) + two.metric(turns("taken")) == taken);
    CHECK(one.metric("sandboxd_cluster_leases_lost_total") == 0);
    CHECK(one.stop().code == 0);
    CHECK(two.stop().code == 0);
}

TEST_CASE("what a server that dies was compiling, another compiles", "[cluster]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    fleet all;
    const auto config = all.config(R"(, "leaseSecs": 10, "compileWaitMs": 600000, "redisTimeoutMs": 3000)");
    server_process one{{.config = config}};
    server_process two{{.config = config}};
    REQUIRE(is_connected(one));
    REQUIRE(is_connected(two));
    all.toolchain.hold();
    http_client first{one};
    http_client second{two};
    first.start_post("/compile", hello(2));
    REQUIRE(eventually([&] { return one.metric(held) == 1; }));
    second.start_post("/compile", hello(2));
    REQUIRE(eventually([&] { return two.metric(waiting) == 1; }));
    CHECK(two.job_directories().empty());
    one.signal(SIGKILL);
    one.wait();
    REQUIRE(eventually([&] { return two.metric(held) == 1; }));
    all.toolchain.release();
    CHECK(second.receive().status == 200);
    CHECK(two.metric(compiled_here) == 1);
    CHECK(two.metric(waiting) == 0);
    CHECK(two.metric("sandboxd_cluster_compile_wait_seconds_count") == 1);
    CHECK(two.stop().code == 0);
}

TEST_CASE("a failure that is not kept makes nobody wait for the next one", "[cluster]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    fleet all;
    server_process one{{.config = all.config() + R"(, "shutdownGraceSecs": 0)"}};
    server_process two{{.config = all.config()}};
    REQUIRE(is_connected(one));
    REQUIRE(is_connected(two));
    all.toolchain.hold();
    http_client first{one};
    http_client second{two};
    first.start_post("/compile", hello(3));
    REQUIRE(eventually([&] { return one.metric(held) == 1; }));
    second.start_post("/compile", hello(3));
    REQUIRE(eventually([&] { return two.metric(waiting) == 1; }));
    // It is ended in the middle, and gives its lease back: the other need not wait for its time.
    one.signal(SIGTERM);
    CHECK(first.receive().status == 503);
    CHECK(one.wait().code == 0);
    REQUIRE(eventually([&] { return two.metric(compiled_here) == 1; }));
    all.toolchain.release();
    CHECK(second.receive().status == 200);
}

TEST_CASE("without Redis each server compiles for itself, at once", "[cluster]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    fleet all;
    server_process one{
        {.config = all.config(R"(, "redisTimeoutMs": 5000, "leaseSecs": 600, "compileWaitMs": 600000)")}};
    http_client client{one};
    REQUIRE(is_connected(one));
    const auto made = client.post("/compile", hello(4));
    REQUIRE(made.status == 200);
    CHECK(one.metric(turns("taken")) == 1);
    CHECK(client.get("/readyz").json().at("degraded").as_array().empty());

    // It hangs.
    all.redis.signal(SIGSTOP);
    CHECK(client.post("/compile", hello(5)).status == 200);
    CHECK(one.metric(turns("unavailable")) == 1);
    CHECK(one.metric("sandboxd_cluster_redis_calls_total{result=\"upstream_timeout\"}") >= 1);
    // It is away.
    all.redis.end();
    CHECK(client.post("/compile", hello(6)).status == 200);
    CHECK(one.metric(turns("unavailable")) == 2);
    REQUIRE(eventually([&] { return one.metric("sandboxd_cluster_redis_connects_total{result=\"failed\"}") > 0; }));
    CHECK(one.metric(connected) == 0);
    const auto ready = client.get("/readyz");
    CHECK(ready.status == 200);
    CHECK(ready.body.find("cluster.redis: Redis cannot be used") != std::string::npos);
    // The reason and the place are for the operator alone.
    CHECK(ready.body.find("localhost") == std::string::npos);
    CHECK(one.log().find(all.redis.url_by_name()) != std::string::npos);
    // It comes back.
    all.redis.start_again();
    REQUIRE(is_connected(one));
    CHECK(client.get("/readyz").json().at("degraded").as_array().empty());
    CHECK(client.post("/compile", hello(7)).status == 200);
    CHECK(one.metric(turns("taken")) == 2);

    // A server that starts without it.
    all.redis.end();
    server_process two{{.config = all.config()}};
    http_client another{two};
    CHECK(another.post("/compile", hello(8)).status == 200);
    CHECK(two.metric(turns("unavailable")) == 1);
    CHECK(two.stop().code == 0);
    CHECK(one.stop().code == 0);
}

TEST_CASE("who can write to Redis can delay a compile, and no more", "[cluster]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    fleet all;
    server_process one{{.config = all.config(R"(, "compileWaitMs": 500, "redisTimeoutMs": 3000)")}};
    http_client client{one};
    REQUIRE(is_connected(one));
    const auto made = client.post("/compile", hello(9));
    REQUIRE(made.status == 200);
    REQUIRE(eventually([&] { return one.metric(held) == 0; }));
    CHECK(one.metric("sandboxd_cluster_leases_lost_total") == 0);
    // A server that has nothing yet, and a cache that has nothing any more.
    std::filesystem::remove_all(all.cache.files() / "ac");
    server_process two{{.config = all.config(R"(, "compileWaitMs": 500, "redisTimeoutMs": 3000)")}};
    http_client another{two};
    REQUIRE(is_connected(two));
    CHECK(all.redis.say("SET " + all.key_of(made) + " stranger") == "+OK\r\n");
    const auto late = another.post("/compile", hello(9));
    REQUIRE(late.status == 200);
    CHECK(digests_of(late) == digests_of(made));
    CHECK(two.metric(turns("wait_over")) == 1);
    CHECK(two.metric(compiled_here) == 1);
    CHECK(all.redis.say("GET " + all.key_of(made)) == "$8\r\nstranger\r\n");
    REQUIRE(has_shared(two, 1));
    // Nonsense.
    std::filesystem::remove_all(all.cache.files() / "ac");
    server_process three{{.config = all.config(R"(, "compileWaitMs": 500, "redisTimeoutMs": 3000)")}};
    http_client last{three};
    REQUIRE(is_connected(three));
    CHECK(all.redis.say("DEL " + all.key_of(made)) == ":1\r\n");
    CHECK(all.redis.say("LPUSH " + all.key_of(made) + " x") == ":1\r\n");
    CHECK(digests_of(last.post("/compile", hello(9))) == digests_of(made));
    CHECK(three.metric(turns("unavailable")) == 1);
}

TEST_CASE("Redis is spoken to by TLS, with a credential and as few rights as the paper says", "[cluster]")
{
    if (const auto why = fleet::missing(); !why.empty()) SKIP(why);
    const certificate right{"localhost"};
    const certificate wrong_host{"redis.example"};
    auto rights = rights_of_paper("word:with:colons");
    rights.insert(rights.end(), {"--requirepass", "other"});
    const redis_server redis{{.certificate = right.chain(), .private_key = right.private_key(), .more = rights}};
    const redis_server elsewhere{
        {.certificate = wrong_host.chain(), .private_key = wrong_host.private_key(), .more = rights}};
    const nginx_cache cache;
    const secret key{fleet_key};
    const secret password{"word:with:colons"};
    const secret pair{"sandboxd:word:with:colons"};
    const secret wrong{"hunter2"};
    const auto with = [](const certificate* whom, const secret& as) {
        auto more = std::string{patient} + ", \"redisCredentialFile\": \"" + as.path() + "\"";
        if (whom) more += ", \"redisCaFile\": \"" + whom->authority() + "\"";
        return more;
    };
    int salt = 100;
    for (const auto& section : {cluster_section(redis.url_by_name("sandboxd"), with(&right, password)),
                                cluster_section(redis.url_by_name() + "/0", with(&right, pair)),
                                cluster_section(redis.socket_url(), with(nullptr, pair))}) {
        CAPTURE(section);
        server_process one{{.config = store_section(cache.url(), key) + ", " + section}};
        http_client client{one};
        INFO(redis.log() << one.log());
        REQUIRE(is_connected(one));
        CHECK(client.post("/compile", hello(++salt)).status == 200);
        CHECK(eventually([&] { return one.metric(held) == 0; }));
        CHECK(one.metric(turns("taken")) == 1);
        CHECK(one.metric("sandboxd_cluster_redis_calls_total{result=\"done\"}") == 2);
        CHECK(one.metric("sandboxd_cluster_leases_lost_total") == 0);
        CHECK(one.log().find("with:colons") == std::string::npos);
    }

    struct row {
        const char* what;
        std::string url;
        std::string more;
        const char* trouble;
    };
    const row rows[] = {
        {"an authority that is not trusted", redis.url_by_name("sandboxd"), with(&wrong_host, password),
         "the TLS handshake failed"},
        {"the system's authorities", redis.url_by_name("sandboxd"), with(nullptr, password),
         "the TLS handshake failed"},
        {"a certificate for another host", elsewhere.url_by_name("sandboxd"), with(&wrong_host, password),
         "the TLS handshake failed"},
        {"another password", redis.url_by_name("sandboxd"), with(&right, wrong), "WRONGPASS"},
        {"no TLS", "redis" + redis.url_by_name("sandboxd").substr(6),
         std::string{patient} + ", \"redisCredentialFile\": \"" + password.path() + "\"", "the connection ended"},
    };
    for (const auto& each : rows) {
        CAPTURE(each.what);
        server_process other{{.config = store_section(cache.url(), key) + ", " + cluster_section(each.url, each.more) +
                                        ", " + no_toolchain,
                              .wait_ready = false}};
        CHECK(eventually([&] { return other.log().find(each.trouble) != std::string::npos; }));
        CHECK(other.metric(connected) == 0);
        CHECK(other.log().find("hunter2") == std::string::npos);
        CHECK(other.log().find("with:colons") == std::string::npos);
        http_client another{other};
        CHECK(another.get("/readyz").body.find("cluster.redis: Redis cannot be used") != std::string::npos);
    }
}

TEST_CASE("a start with a Redis that cannot be used says why", "[cluster]")
{
    const temporary_directory here;
    const secret password{"hunter2"};
    const secret open{"hunter2", 0444};
    const secret user_only{"hunter2:"};
    const auto file_of = [](const char* key_name, const std::string& path) {
        return std::string{", \""} + key_name + "\": \"" + path + "\"";
    };
    const auto credential = file_of("redisCredentialFile", password.path());
    const refused_config rows[] = {
        {cluster_section("127.0.0.1:6379", ""), "cluster.redis: "},
        {cluster_section("redis://:hunter2@127.0.0.1", ""), "cluster.redisCredentialFile names"},
        {cluster_section("redis://someone@127.0.0.1", ""), "cluster.redisCredentialFile: is missing"},
        {cluster_section("redis://10.0.0.1", credential), "cluster.redisCredentialFile: would be sent over redis://"},
        {cluster_section("redis://127.0.0.1", file_of("redisCredentialFile", open.path())), "other users"},
        {cluster_section("redis://127.0.0.1", file_of("redisCredentialFile", here / "none")),
         "cluster.redisCredentialFile: "},
        {cluster_section("redis://127.0.0.1", file_of("redisCredentialFile", user_only.path())), "has no password"},
        {cluster_section("rediss://127.0.0.1", file_of("redisCaFile", password.path())), "cluster.redisCaFile: "},
        {cluster_section("redis://127.0.0.1", file_of("redisCaFile", password.path())), "has no use without rediss://"},
        {cluster_section("redis://127.0.0.1", R"(, "keyPrefix": "a b")"), "cluster.keyPrefix"},
        {cluster_section("redis://127.0.0.1", R"(, "listen": "8081")"), "cluster.listen: '8081' is no ADDRESS:PORT"},
        {cluster_section("redis://127.0.0.1", R"(, "listen": ":0", "advertise": "name:1")"), "cluster.advertise: "},
        {cluster_section("redis://127.0.0.1", R"(, "advertise": "10.1.2.3:1")"), "has no use without cluster.listen"},
    };
    check_refused(rows, "hunter2");
}

TEST_CASE("the address for other servers may be told by an option", "[cluster][cli]")
{
    const temporary_directory here;
    const secret key{std::string(40, 'k')};
    const auto file = here / "config.json";
    std::ofstream{file} << "{" << store_section("http://127.0.0.1:1", key) << ", "
                        << cluster_section("redis://127.0.0.1:1", R"(, "listen": ":0", "advertise": "name")") << ", "
                        << no_toolchain << "}";
    const auto start = [&](std::vector<std::string> more) {
        std::vector<std::string> words{"--config", file, "--addr", "127.0.0.1:0", "--working-dir", here / "work"};
        words.insert(words.end(), more.begin(), more.end());
        const auto ran = run_sandboxd(words);
        return ran.out + ran.err;
    };
    // The message names what was written, and where.
    CHECK(start({"--check-config"}).find("cluster.advertise: 'name' is no ADDRESS") != std::string::npos);
    for (const auto* wrong : {"$(POD_IP)", "::", "10.1.2.3:x"}) {
        CAPTURE(wrong);
        CHECK(start({"--advertise", wrong}).find("sandboxd: --advertise: '" + std::string{wrong} + "' is no ") !=
              std::string::npos);
    }
    // An option beats the file.
    const auto told = start({"--advertise", "fd00::12", "--check-config"});
    CAPTURE(told);
    CHECK(told.find("advertise") == std::string::npos);
}
