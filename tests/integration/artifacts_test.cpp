// Artifacts over HTTP: types, tags, conditions, ranges, codings, headers that keep a stranger's script at bay,
// and the sweeper.
#include "base/digest.hpp"
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

#include <ctime>
#include <filesystem>
#include <string>

using namespace sandboxd::test;
namespace json = boost::json;
namespace fs = std::filesystem;

namespace {

constexpr const char* hello = "#include <stdio.h>\nint main(void) { puts(\"hi\"); return 0; }\n";

std::string text(const json::value& object, std::string_view key) { return std::string{object.at(key).as_string()}; }

std::string gunzip(const std::string& bytes)
{
    z_stream stream{};
    REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
    std::string in = bytes;
    std::string out(1 << 22, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(in.data());
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    CHECK(inflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(stream.total_out);
    inflateEnd(&stream);
    return out;
}

void make_old(const fs::path& entry, int days)
{
    timespec times[2]{};
    times[0].tv_sec = times[1].tv_sec = std::time(nullptr) - days * 24 * 3600;
    REQUIRE(::utimensat(AT_FDCWD, entry.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
}

}  // namespace

TEST_CASE("an artifact has its type, its tag, and headers for strangers' scripts", "[artifacts]")
{
    server_process server;
    http_client client{server};
    const auto answer = client.post(
        "/compile", {{"code", hello}, {"args", json::array{"-gsource-map", "--source-map-base", "/maps/"}}});
    REQUIRE(answer.status == 200);
    const auto body = answer.json();
    const auto js = text(body, "js");

    const std::pair<const char*, const char*> types[] = {{"app.js", "text/javascript; charset=utf-8"},
                                                         {"app.wasm", "application/wasm"},
                                                         {"app.wasm.map", "application/json"}};
    for (const auto& [name, type] : types) {
        INFO(name);
        const auto got = client.get("/artifacts/" + text(body, "id") + "/" + name);
        CHECK(got.status == 200);
        CHECK(got.field("content-type") == type);
        CHECK(got.field("x-content-type-options") == "nosniff");
        CHECK(got.field("cache-control") == "public, max-age=31536000, immutable");
        CHECK(got.field("content-security-policy").starts_with("sandbox"));
        CHECK(got.field("access-control-allow-origin") == "*");
        CHECK(got.field("cross-origin-resource-policy") == "cross-origin");
        CHECK(got.field("vary").find("Accept-Encoding") != std::string::npos);
        CHECK(got.field("accept-ranges") == "bytes");
        CHECK_FALSE(got.field("content-encoding").size());
        const auto tag = got.field("etag");
        CHECK((tag.size() > 10 && tag.front() == '"' && tag.back() == '"'));
    }

    const auto whole = client.get(js);
    const auto tag = whole.field("etag");
    const auto head = client.head(js);
    CHECK(head.status == 200);
    CHECK(head.body.empty());
    CHECK(head.field("content-length") == std::to_string(whole.body.size()));
    CHECK(head.field("etag") == tag);

    for (const auto& condition : {tag, "\"other\", " + tag, "W/" + tag, std::string{"*"}}) {
        INFO(condition);
        const auto unchanged = client.get(js, {{"If-None-Match", condition}});
        CHECK(unchanged.status == 304);
        CHECK(unchanged.body.empty());
        CHECK(unchanged.field("etag") == tag);
        CHECK(unchanged.field("cache-control") == "public, max-age=31536000, immutable");
    }
    CHECK(client.get(js, {{"If-None-Match", "\"other\""}}).status == 200);
    CHECK(client.head(js, {{"If-None-Match", tag}}).status == 304);

    const auto size = std::to_string(whole.body.size());
    const auto part = client.get(js, {{"Range", "bytes=10-19"}});
    CHECK(part.status == 206);
    CHECK(part.body == whole.body.substr(10, 10));
    CHECK(part.field("content-range") == "bytes 10-19/" + size);
    CHECK(client.get(js, {{"Range", "bytes=-7"}}).body == whole.body.substr(whole.body.size() - 7));
    CHECK(client.get(js, {{"Range", "bytes=100-"}}).body == whole.body.substr(100));
    CHECK(client.get(js, {{"Range", "bytes=0-4"}, {"If-Range", tag}}).status == 206);
    CHECK(client.get(js, {{"Range", "bytes=0-4"}, {"If-Range", "\"other\""}}).status == 200);
    const auto beyond = client.get(js, {{"Range", "bytes=" + size + "-"}});
    CHECK(beyond.status == 416);
    CHECK(beyond.field("content-range") == "bytes */" + size);
    CHECK(beyond.json().at("code").as_string() == "range_not_satisfiable");
    CHECK_FALSE(beyond.json().at("ok").as_bool());

    // Over the same connection, to its end.
    CHECK(client.get(js).body == whole.body);
    CHECK(client.request("POST", js).status == 405);
    CHECK(client.request("DELETE", js).field("allow") == "HEAD, GET");
}

TEST_CASE("artifacts are sent compressed as soon as they are, to those who accept it", "[artifacts]")
{
    server_process server;
    http_client client{server};
    const auto body = client.post("/compile", {{"code", hello}}).json();
    for (const auto* member : {"js", "wasm"}) {
        const auto url = text(body, member);
        const auto plain = client.get(url);
        REQUIRE(
            eventually([&] { return client.get(url, {{"Accept-Encoding", "br"}}).field("content-encoding") == "br"; }));
        REQUIRE(eventually(
            [&] { return client.get(url, {{"Accept-Encoding", "gzip"}}).field("content-encoding") == "gzip"; }));

        const auto zipped = client.get(url, {{"Accept-Encoding", "gzip"}});
        CHECK(gunzip(zipped.body) == plain.body);
        CHECK(zipped.body.size() < plain.body.size());
        CHECK(zipped.field("vary").find("Accept-Encoding") != std::string::npos);
        CHECK(zipped.field("content-type") == plain.field("content-type"));
        const auto brotli = client.get(url, {{"Accept-Encoding", "gzip, deflate, br, zstd"}});
        CHECK(brotli.field("content-encoding") == "br");
        CHECK(brotli.body.size() < plain.body.size());

        // A tag for each coding.
        CHECK(zipped.field("etag") != plain.field("etag"));
        CHECK(brotli.field("etag") != zipped.field("etag"));
        CHECK(client.get(url, {{"Accept-Encoding", "gzip"}, {"If-None-Match", zipped.field("etag")}}).status == 304);
        CHECK(client.get(url, {{"If-None-Match", zipped.field("etag")}}).status == 200);

        CHECK(client.get(url, {{"Accept-Encoding", "gzip;q=0"}}).body == plain.body);
        CHECK(client.get(url, {{"Accept-Encoding", "identity"}}).body == plain.body);
        const auto part = client.get(url, {{"Accept-Encoding", "gzip"}, {"Range", "bytes=0-9"}});
        CHECK(part.status == 206);
        CHECK(part.body == zipped.body.substr(0, 10));
    }
}

TEST_CASE("no path leads out of the store", "[artifacts]")
{
    server_process server;
    http_client client{server};
    const auto body = client.post("/compile", {{"code", hello}}).json();
    const auto id = text(body, "id");
    const auto root = server.working_dir() / "artifacts";
    // What lies in the store without being an artifact.
    fs::create_symlink("/etc/passwd", root / id / "link.js");
    fs::create_symlink("/etc", root / "0123456789abcdef0123456789abcdef");
    const std::string tricks[] = {
        "/artifacts/",
        "/artifacts",
        "/artifacts/" + id,
        "/artifacts/" + id + "/",
        "/artifacts//app.js",
        "/artifacts/" + id + "//app.js",
        "/artifacts/" + id + "/../" + id + "/app.js",
        "/artifacts/../artifacts/" + id + "/app.js",
        "/artifacts/" + id + "/%2e%2e/" + id + "/app.js",
        "/artifacts/" + id + "%2fapp.js",
        "/artifacts/" + id + "/app.js%00",
        "/artifacts/" + id + "/..%2f..%2f..%2fetc%2fpasswd",
        "/artifacts/..%252f..%252fetc/passwd",
        "/artifacts/" + id + "\\app.js",
        "/artifacts/" + id + "/.entry.json",
        "/artifacts/" + id + "/.record",
        "/artifacts/" + id + "/.app.js.gz",
        "/artifacts/" + id + "/link.js",
        "/artifacts/" + id + "/APP.JS",
        "/artifacts/0123456789abcdef0123456789abcdef/passwd",
        "/artifacts/ffffffffffffffffffffffffffffffff/app.js",
        "/artifacts/" + id.substr(1) + "/app.js",
        "/artifacts/" + id + "x/app.js",
        "/artifacts/" + std::string(4000, 'a') + "/app.js",
        "/artifacts/" + id + "/" + std::string(4000, 'a'),
        "/artifacts/./" + id + "/app.js",
        "//artifacts/" + id + "/app.js",
    };
    for (const auto& one : tricks) {
        INFO(one);
        const auto got = client.get(one);
        CHECK((got.status == 404 || got.status == 400));
        CHECK(got.body.find("root:") == std::string::npos);
        CHECK_FALSE(got.json().at("ok").as_bool());
        CHECK(client.request("GET", one).status == got.status);
    }
    CHECK(client.get("http://localhost/artifacts/" + id + "/app.js").status == 200);  // absolute-form
    CHECK(client.get("/artifacts/" + id + "/app.js?v=1").status == 200);
}

TEST_CASE("serving artifacts can be turned off, and their origins chosen", "[artifacts]")
{
    {
        server_process server{{.config = R"("enableStaticArtifacts": false)"}};
        http_client client{server};
        const auto body = client.post("/compile", {{"code", hello}}).json();
        CHECK(body.at("ok").as_bool());
        const auto got = client.get(text(body, "js"));
        CHECK(got.status == 404);
        CHECK(text(got.json(), "error").find("enableStaticArtifacts") != std::string::npos);
        CHECK(fs::exists(server.working_dir() / "artifacts" / text(body, "id") / "app.js"));
    }
    server_process server{{.config = R"("http": {"artifactCorsOrigins": ["https://play.example"],
                                                 "apiCorsOrigins": ["https://ide.example"]},
                                       "artifacts": {"maxAgeSecs": 60, "memoryCacheMB": 0})"}};
    http_client client{server};
    const auto compiled = client.post("/compile", {{"code", hello}}, {{"Origin", "https://ide.example"}});
    CHECK(compiled.field("access-control-allow-origin") == "https://ide.example");
    const auto js = text(compiled.json(), "js");
    const auto ours = client.get(js, {{"Origin", "https://play.example"}});
    CHECK(ours.field("access-control-allow-origin") == "https://play.example");
    CHECK(ours.field("vary").find("Origin") != std::string::npos);
    CHECK(ours.field("cache-control") == "public, max-age=60, immutable");
    const auto theirs = client.get(js, {{"Origin", "https://evil.example"}});
    CHECK(theirs.status == 200);
    CHECK(theirs.field("access-control-allow-origin").empty());
    CHECK(theirs.field("vary").find("Origin") != std::string::npos);
    CHECK(theirs.body == ours.body);

    const auto preflight = client.request("OPTIONS", "/compile",
                                          {{"Origin", "https://ide.example"},
                                           {"Access-Control-Request-Method", "POST"},
                                           {"Access-Control-Request-Headers", "content-type"}});
    CHECK(preflight.status == 204);
    CHECK(preflight.field("access-control-allow-origin") == "https://ide.example");
    CHECK(preflight.field("access-control-allow-methods").find("POST") != std::string::npos);
    CHECK(preflight.field("access-control-allow-headers").find("content-type") != std::string::npos);
    const auto refused = client.request(
        "OPTIONS", "/compile", {{"Origin", "https://play.example"}, {"Access-Control-Request-Method", "POST"}});
    CHECK(refused.field("access-control-allow-origin").empty());
    // Without having been allowed, a page can still send what needs no preflight.
    CHECK(client.request("POST", "/compile", {{"Content-Type", "text/plain"}, {"Origin", "https://evil.example"}}, "{}")
              .status == 403);
    CHECK(client.request("POST", "/compile", {{"Content-Type", "text/plain"}}, "{}").status == 415);
}

TEST_CASE("old artifacts are swept, those in use are not", "[artifacts][sweeper]")
{
    const temporary_directory work;
    const auto root = work / "artifacts";
    const auto source = [](int n) {
        return json::object{{"code", "int main(void) { return " + std::to_string(n) + "; }\n"}};
    };
    std::string used;
    std::string forgotten;
    std::string young;
    {
        server_process server{{.config = R"("artifactTTLDays": 2)", .working_dir = work.path()}};
        http_client client{server};
        used = text(client.post("/compile", source(1)).json(), "id");
        forgotten = text(client.post("/compile", source(2)).json(), "id");
        young = text(client.post("/compile", source(3)).json(), "id");
        CHECK(server.metric("sandboxd_artifacts_entries") == 3);
        CHECK(server.stop().code == 0);
    }
    // Nothing is swept at 0.
    make_old(root / forgotten, 400);
    {
        server_process server{{.config = R"("artifactTTLDays": 0)", .working_dir = work.path()}};
        http_client client{server};
        CHECK(client.get("/artifacts/" + forgotten + "/app.js").status == 200);
        CHECK(server.stop().code == 0);
    }
    make_old(root / used, 3);
    make_old(root / young, 1);
    {
        // A hit makes it young, and a sweep comes with every start. It must not come before the hit here.
        server_process server{{.config = R"("artifactTTLDays": 4)", .working_dir = work.path()}};
        http_client client{server};
        CHECK(client.post("/compile", source(1)).json().at("cached").as_bool());
        make_old(root / forgotten, 3);
        CHECK(server.stop().code == 0);
    }
    server_process server{{.config = R"("artifactTTLDays": 2)", .working_dir = work.path()}};
    http_client client{server};
    REQUIRE(eventually([&] { return server.metric("sandboxd_artifacts_swept_total") == 1; }));
    CHECK_FALSE(fs::exists(root / forgotten));
    CHECK(fs::exists(root / used));
    CHECK(fs::exists(root / young));
    CHECK(client.get("/artifacts/" + forgotten + "/app.js").status == 404);
    CHECK(client.get("/artifacts/" + used + "/app.js").status == 200);
    CHECK(server.metric("sandboxd_artifacts_entries") == 2);
    CHECK_FALSE(client.post("/compile", source(2)).json().at("cached").as_bool());
    CHECK(server.logs("swept artifacts removed=1"));
}

TEST_CASE("a download is not cut when its artifact goes away", "[artifacts][sweeper]")
{
    server_process server{{.config = R"("artifacts": {"memoryCacheMB": 0})"}};
    http_client client{server};
    const auto compiled = client.post(
        "/compile",
        {{"code",
          "int filler[1 << 22] = {[(1 << 22) - 1] = 1};\nint main(int n, char** v) { (void)v; return filler[n]; }\n"},
         {"args", json::array{"-sINITIAL_MEMORY=64mb"}}});
    REQUIRE(compiled.status == 200);
    const auto id = text(compiled.json(), "id");
    INFO(compiled.body);
    const auto size = compiled.json().at("artifacts").at(1).at("bytes").to_number<std::size_t>();
    REQUIRE(size > 16u << 20);

    http_client slow{server};
    // More than both sides' buffers hold, so it is under way for as long as nobody reads.
    slow.send("GET /artifacts/" + id + "/app.wasm HTTP/1.1\r\nHost: localhost\r\n\r\n");
    REQUIRE(eventually([&] { return slow.readable(); }));
    // What a sweep does: the entry is renamed, then removed.
    fs::rename(server.working_dir() / "artifacts" / id, server.working_dir() / "gone");
    // Its compressed forms may still be being written.
    REQUIRE(eventually([&] {
        std::error_code ec;
        fs::remove_all(server.working_dir() / "gone", ec);
        return !ec;
    }));
    CHECK(client.get("/healthz").body == "ok");
    const auto got = slow.receive();
    CHECK(got.status == 200);
    CHECK(got.body.size() == size);
    CHECK(text(compiled.json().at("artifacts").at(1), "sha256") == sandboxd::to_hex(sandboxd::sha256_of(got.body)));
    CHECK(client.get("/artifacts/" + id + "/app.wasm").status == 404);
}
