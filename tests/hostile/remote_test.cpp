// A cache of artifacts that lies. Whatever it says: the client gets the right answer, soon, and nothing wrong is
// stored.
#include "base/digest.hpp"
#include "support/cache_stand_in.hpp"
#include "support/shared_artifacts.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::test;
using answer = cache_stand_in::answer;
using request = cache_stand_in::request;

namespace {

const std::string ok = "HTTP/1.1 200 OK\r\n";
const remote::signing_key right_key{fleet_key};

struct lie {
    const char* what;
    // Of what is read; what is written is taken.
    std::function<std::optional<answer>(const request&)> said;
    unsigned status;         // of an artifact that this server does not have
    std::string counted_by;  // the metric that tells of it
};

std::string counter(const char* family, const char* label, const char* value)
{
    return std::string{"sandboxd_store_remote_"} + family + "_total{" + label + "=\"" + value + "\"}";
}
const std::string refused_bytes = counter("refused", "what", "bytes");
const std::string refused_signature = counter("refused", "what", "signature");
const std::string refused_document = counter("refused", "what", "document");
const std::string failed_answer = counter("failures", "why", "upstream_failed");
const std::string failed_time = counter("failures", "why", "upstream_timeout");

bool is_blob(const request& one) { return one.target.starts_with("/cas/"); }

// A lie about blobs, where the document is the true one.
std::function<std::optional<answer>(const request&)> of_blobs(std::function<answer(const std::string&)> make)
{
    return [make = std::move(make)](const request& one) -> std::optional<answer> {
        if (!is_blob(one) || !one.stored) return std::nullopt;
        return make(*one.stored);
    };
}

std::function<std::optional<answer>(const request&)> of_all(answer what)
{
    return [what = std::move(what)](const request&) { return what; };
}

// A document that is signed: by whom, and of what.
std::function<std::optional<answer>(const request&)> of_documents(std::function<std::string(const std::string&)> make)
{
    return [make = std::move(make)](const request& one) -> std::optional<answer> {
        if (is_blob(one) || !one.stored) return std::nullopt;
        return answer{cache_stand_in::whole(make(*one.stored))};
    };
}

std::string of_length(std::size_t bytes) { return "Content-Length: " + std::to_string(bytes) + "\r\n\r\n"; }

std::vector<lie> lies()
{
    const std::string junk(65536, 'x');
    return {
        {"other bytes of the same size", of_blobs([](const std::string& true_one) {
             auto changed = true_one;
             changed[changed.size() / 2] = static_cast<char>(changed[changed.size() / 2] ^ 1);
             return answer{cache_stand_in::whole(changed)};
         }),
         404, refused_bytes},
        {"fewer bytes", of_blobs([](const std::string& true_one) {
             return answer{cache_stand_in::whole(true_one.substr(0, true_one.size() - 1))};
         }),
         404, refused_bytes},
        {"no bytes", of_blobs([](const std::string&) { return answer{cache_stand_in::whole("")}; }), 404,
         refused_bytes},
        {"more bytes",
         of_blobs([](const std::string& true_one) { return answer{cache_stand_in::whole(true_one + "x")}; }), 404,
         refused_bytes},
        {"more bytes, in chunks", of_blobs([](const std::string& true_one) {
             char size[20];
             std::snprintf(size, sizeof size, "%zx", true_one.size());
             return answer{ok + "Transfer-Encoding: chunked\r\n\r\n" + size + "\r\n" + true_one +
                           "\r\n1\r\nx\r\n0\r\n\r\n"};
         }),
         404, refused_bytes},
        {"a body without an end",
         of_blobs([junk](const std::string&) { return answer{.bytes = ok + "\r\n", .then_forever = junk}; }), 404,
         refused_bytes},
        {"a document without an end", of_all({.bytes = ok + "\r\n", .then_forever = junk}), 404, refused_document},
        {"a document of a gigabyte", of_all({.bytes = ok + of_length(1 << 30), .then_forever = junk}), 404,
         refused_document},
        {"fields without an end", of_all({.bytes = ok, .then_forever = "X-Field: y\r\n"}), 503, failed_answer},
        {"one field without an end", of_all({.bytes = ok + "X: ", .then_forever = junk}), 503, failed_answer},
        {"a body byte by byte", of_blobs([](const std::string& true_one) {
             return answer{.bytes = cache_stand_in::whole(true_one), .byte_by_byte = true};
         }),
         503, failed_time},
        {"a head byte by byte",
         of_all({.bytes = ok + "X: " + std::string(10'000, 'x') + "\r\n\r\n", .byte_by_byte = true}), 503, failed_time},
        {"nothing at all", of_all({.bytes = "", .never_close = true}), 503, failed_time},
        {"the end of the connection in the middle", of_blobs([](const std::string& true_one) {
             return answer{.bytes = ok + of_length(true_one.size()) + true_one.substr(0, true_one.size() / 2),
                           .close = true};
         }),
         503, failed_answer},
        {"the end of the connection at once", of_all({.bytes = "", .close = true}), 503, failed_answer},
        {"a page for people, with 200", of_all({cache_stand_in::whole("<!doctype html><title>Log in</title>")}), 404,
         refused_signature},
        {"a page for people in place of bytes",
         of_blobs([](const std::string&) { return answer{cache_stand_in::whole("<!doctype html>")}; }), 404,
         refused_bytes},
        {"a redirect",
         [](const request& one) -> std::optional<answer> {
             return answer{"HTTP/1.1 307 Temporary Redirect\r\nLocation: " + one.target +
                           "\r\nContent-Length: 0\r\n\r\n"};
         },
         503, failed_answer},
        {"a length that is larger than the bytes", of_blobs([](const std::string& true_one) {
             return answer{.bytes = ok + of_length(true_one.size()) + true_one.substr(1), .never_close = true};
         }),
         503, failed_time},
        {"a length that is smaller, and the rest behind it",
         of_blobs([](const std::string& true_one) { return answer{ok + of_length(true_one.size() - 1) + true_one}; }),
         404, refused_bytes},
        {"two lengths", of_blobs([](const std::string& true_one) {
             return answer{ok + "Content-Length: 1\r\n" + of_length(true_one.size()) + true_one};
         }),
         503, failed_answer},
        {"bytes that are said to be compressed", of_blobs([](const std::string& true_one) {
             return answer{ok + "Transfer-Encoding: gzip\r\n\r\n" + true_one};
         }),
         503, failed_answer},
        {"a document of an enemy's key",
         [](const request& one) -> std::optional<answer> {
             if (is_blob(one)) return std::nullopt;
             const remote::signing_key enemy{std::string(40, 'e')};
             const remote::shared_entry forged{.id = std::string(32, '0'), .files = {}, .record = {}};
             return answer{cache_stand_in::whole(write_document(forged, enemy))};
         },
         404, refused_signature},
        {"another entry's document, rightly signed",
         [](const request& one) -> std::optional<answer> {
             if (is_blob(one)) return std::nullopt;
             const remote::shared_entry other{
                 .id = std::string(32, '0'), .files = {}, .record = {0, to_hex(sha256_of(""))}};
             return answer{cache_stand_in::whole(write_document(other, right_key))};
         },
         404, refused_signature},
        {"a signature cut off", of_documents([](const std::string& true_one) {
             auto changed = true_one;
             const auto text = changed.find("\n{");
             changed[text - 1] = changed[text - 1] == '0' ? '1' : '0';
             return changed;
         }),
         404, refused_signature},
        {"status 401", of_all({cache_stand_in::whole("", "401 Unauthorized")}), 503, failed_answer},
        {"status 500, with a body without an end", of_all({.bytes = "HTTP/1.1 500 No\r\n\r\n", .then_forever = junk}),
         503, failed_answer},
        {"status 101", of_all({"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"}), 503, failed_answer},
        {"another protocol", of_all({.bytes = "SSH-2.0-OpenSSH_9.2\r\n\r\n", .close = true}), 503, failed_answer},
        {"status 507 of a blob",
         of_blobs([](const std::string&) { return answer{cache_stand_in::whole("", "507 No room")}; }), 503,
         failed_answer},
        {"blobs that it has dropped",
         of_blobs([](const std::string&) { return answer{cache_stand_in::whole("", "404 Not Found")}; }), 404,
         counter("reads", "result", "miss")},
    };
}

}  // namespace

TEST_CASE("a cache that lies costs no client more than a compile", "[hostile][remote]")
{
    cache_stand_in cache;
    const secret key{fleet_key};
    const auto all = lies();
    REQUIRE(all.size() >= 12);
    std::vector<http_answer> made;
    {
        server_process honest{{.config = store_section(cache.url(), key)}};
        http_client client{honest};
        for (std::size_t i = 0; i < all.size(); ++i) {
            made.push_back(client.post("/compile", hello(static_cast<int>(i))));
            REQUIRE(made.back().status == 200);
        }
        REQUIRE(has_shared(honest, static_cast<int>(all.size())));
    }
    // It never gives up on the cache, so that each lie is told.
    server_process server{
        {.config = store_section(cache.url(), key, R"(, "remoteTimeoutMs": 400, "remoteFailures": 1000)")}};
    http_client client{server};
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto& one = all[i];
        CAPTURE(one.what);
        const auto id = id_of(made[i]);
        const auto target = "/artifacts/" + id + "/app.wasm";
        cache.lie([&one](const request& asked) { return asked.method == "GET" ? one.said(asked) : std::nullopt; });
        const auto before = server.metric(one.counted_by);
        const auto began = std::chrono::steady_clock::now();
        const auto got = client.get(target);
        // Some of them would go on for ever.
        CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds{30});
        CHECK(got.status == one.status);
        // The fetch may end after the answer.
        CHECK(eventually([&] { return server.metric(one.counted_by) == before + 1; }));
        CHECK(stores_nothing(server, id));

        const auto compiled = client.post("/compile", hello(static_cast<int>(i)));
        CAPTURE(compiled.body);
        REQUIRE(compiled.status == 200);
        CHECK_FALSE(compiled.json().at("cached").as_bool());
        CHECK(digests_of(compiled) == digests_of(made[i]));
        const auto served = client.get(target);
        CHECK(served.status == 200);
        CHECK(to_hex(sha256_of(served.body)) == digests_of(made[i]).at("app.wasm"));
        REQUIRE(eventually([&] { return server.metric("sandboxd_store_remote_fetching") == 0; }));
    }
    CHECK(server.metric("sandboxd_store_remote_reads_total{result=\"hit\"}") == 0);
    CHECK(server.metric("sandboxd_store_remote_fetching_bytes") == 0);
    CHECK(server.metric("sandboxd_store_remote_connections") <= 8);
    CHECK(client.get("/readyz").status == 200);
    CHECK(server.clean());
}

TEST_CASE("a document that the fleet has signed is held against the rules all the same", "[hostile][remote]")
{
    cache_stand_in cache;
    const secret key{fleet_key};
    server_process server{
        {.config = store_section(cache.url(), key) + R"(, "compile": {"maxArtifactMB": 1}, )" + no_toolchain,
         .wait_ready = false}};
    http_client client{server};
    const std::string bytes = "alert(1)";
    const auto digest = to_hex(sha256_of(bytes));
    cache.put("/cas/" + digest, bytes);
    const std::string id(32, 'c');
    const auto offer = [&](remote::shared_entry entry) {
        entry.id = id;
        entry.record = {bytes.size(), digest};
        cache.put("/ac/" + right_key.place_of(id), write_document(entry, right_key));
    };
    const remote::blob blob{bytes.size(), digest};
    std::vector<remote::shared_entry> wrong;
    for (const std::string name :
         {"../app.js", "../../etc/cron.d/x", "/etc/passwd", "..", ".entry.json", ".record", "a/b", ""})
        wrong.push_back({.id = {}, .files = {{"app.js", blob}, {name, blob}}, .record = {}});
    wrong.push_back({.id = {}, .files = {{"app.js", blob}, {"app.js", blob}}, .record = {}});
    wrong.push_back({.id = {}, .files = {{"app.js", {(1 << 20) + 1, digest}}}, .record = {}});
    wrong.push_back({.id = {}, .files = {}, .record = {}});
    for (int i = 0; i < 33; ++i) wrong.back().files.push_back({"f" + std::to_string(i), blob});
    double refused = 0;
    for (const auto& one : wrong) {
        CAPTURE(one.files.back().name, one.files.size());
        offer(one);
        CHECK(client.get("/artifacts/" + id + "/app.js").status == 404);
        CHECK(server.metric(refused_document) == ++refused);
        CHECK(stores_nothing(server, id));
    }
    CHECK_FALSE(std::filesystem::exists(server.working_dir() / "app.js"));
    // And one that is as it should be.
    offer({.id = {}, .files = {{"app.js", blob}}, .record = {}});
    const auto got = client.get("/artifacts/" + id + "/app.js");
    CHECK(got.status == 200);
    CHECK(got.body == bytes);
}

TEST_CASE("a cache that is dead is left alone after some failures", "[hostile][remote]")
{
    std::string url;
    {
        const cache_stand_in gone;
        url = gone.url();
    }
    const secret key{fleet_key};
    server_process server{{.config = store_section(url, key, R"(, "remoteFailures": 3, "remotePauseSecs": 3600)")}};
    http_client client{server};
    const auto target = "/artifacts/" + std::string(32, 'd') + "/app.js";
    for (int i = 0; i < 5; ++i) CHECK(client.get(target).status == 503);
    CHECK(server.metric(counter("failures", "why", "unavailable")) >= 3);
    CHECK(server.metric(counter("reads", "result", "failed")) == 3);
    CHECK(server.metric(counter("reads", "result", "skipped")) == 2);
    CHECK(server.metric("sandboxd_store_remote_unavailable") == 1);
    CHECK(client.post("/compile", hello(1)).status == 200);
    const auto ready = client.get("/readyz");
    CHECK(ready.status == 200);
    CHECK(ready.body.find("store.remote: the cache fails") != std::string::npos);
    CHECK(ready.body.find(url.substr(7)) == std::string::npos);
    CHECK(server.stop().code == 0);
}

TEST_CASE("what is wrong in the cache is put right by the next compile", "[hostile][remote]")
{
    cache_stand_in cache;
    const secret key{fleet_key};
    std::string id;
    {
        server_process honest{{.config = store_section(cache.url(), key)}};
        http_client client{honest};
        id = id_of(client.post("/compile", hello(1)));
        REQUIRE(has_shared(honest, 1));
    }
    const auto right = cache.contents();
    for (const auto& [target, bytes] : right) {
        CAPTURE(target);
        cache.put(target, std::string(bytes.size(), 'x'));
        server_process server{{.config = store_section(cache.url(), key)}};
        http_client client{server};
        CHECK(client.get("/artifacts/" + id + "/app.js").status == 404);
        const auto compiled = client.post("/compile", hello(1));
        CHECK_FALSE(compiled.json().at("cached").as_bool());
        REQUIRE(has_shared(server, 1));
        CHECK(cache.contents() == right);
    }
}
