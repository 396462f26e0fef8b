// A deployment and its clients against what nginx keeps and for whom: real nginx, with deploy/nginx.conf.
#include "arena.hpp"
#include "support/behind_nginx.hpp"
#include "support/eventually.hpp"
#include "support/http_client.hpp"

#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>
#include <vector>

using namespace sandboxd::test;
using namespace std::string_literals;
namespace json = boost::json;
namespace fs = std::filesystem;

namespace {

// Says of every path that it may be kept for long.
constexpr const char* program = R"js(
require('http').createServer((q, r) => {
  r.writeHead(200, {'Content-Type': 'text/javascript', 'Cache-Control': 'public, max-age=31536000, immutable',
                    'Expires': 'Fri, 01 Jan 2100 00:00:00 GMT', 'X-Accel-Expires': '86400', 'ETag': '"x"',
                    'X-Accel-Redirect': '/healthz', 'Clear-Site-Data': '"*"'});
  r.end('planted by a deployment');
}).listen(process.env.PORT);
)js";
constexpr std::string_view planted = "planted by a deployment";

std::string bytes_of(const fs::path& file)
{
    std::ifstream in{file, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
}

}  // namespace

TEST_CASE("nothing of a deployment gets into nginx's cache, or is answered under an artifact's name",
          "[hostile][nginx]")
{
    if (const auto why = behind_nginx::missing(); !why.empty()) SKIP(why);
    if (::access("/usr/bin/node", X_OK) != 0) SKIP("there is no /usr/bin/node");
    behind_nginx place{
        std::string{no_toolchain} +
        R"(, "faas": {"baseDomain": "apps.sandboxd.example.org"}, "js": {"enabled": false}, "log": {"level": "error"})"};
    const header_list named{{"Host", place.host()}};
    http_client client{place.port()};
    REQUIRE(eventually([&] { return client.get("/healthz", named).status == 200; }));
    const auto deployed = client.post("/faas/deploy", {{"runtime", "node"}, {"code", program}}, named);
    INFO(deployed.body << place.log());
    REQUIRE(deployed.status == 200);
    const std::string id{deployed.json().at("deployment_id").as_string()};
    const auto own = id + "." + std::string{behind_nginx::base_domain};
    REQUIRE(client.get("/faas/" + id + "/app.js", named).body == planted);
    REQUIRE(client.get("/app.js", {{"Host", own}}).body == planted);

    const std::string hash(32, 'a');
    const auto artifact = "/artifacts/" + hash + "/app.js";
    const auto rest = artifact.substr(1);  // without the first '/'
    const auto base = "/faas/" + id;
    std::vector<std::string> targets;
    for (const std::string& up : {"/../../"s,
                                  "/..%2f../"s,
                                  "/..%2F..%2F"s,
                                  "/%2e%2e/%2e%2e/"s,
                                  "/%2E%2E/%2e%2e/"s,
                                  "/.%2e/.%2e/"s,
                                  "/%2e./%2E./"s,
                                  "/..%2f%2e%2e%2f"s,
                                  "%2f../../"s,
                                  "%2f..%2f..%2f"s,
                                  "//../../../"s,
                                  "/./../../"s,
                                  "/%2e/../../"s,
                                  "/x/../../../"s,
                                  "/x/y/%2e%2e/%2e%2e/../../"s,
                                  "/..//../"s,
                                  "/../..//"s,
                                  "/..;/..;/"s,
                                  "/..;a=b/../"s,
                                  "/..\\..\\"s,
                                  "/..%5c..%5c"s,
                                  "/%252e%252e/%252e%252e/"s,
                                  "/%c0%ae%c0%ae/%c0%ae%c0%ae/"s,
                                  "/.././../"s,
                                  "/..%00/../"s,
                                  "/../%2e%2e%2f"s,
                                  "/?/../../"s,
                                  "/#/../../"s,
                                  "/..#/../"s,
                                  "/..?/../../"s,
                                  "/...//../../../"s}) {
        targets.push_back(base + up + rest);
        targets.push_back("/proxy/" + id + up + rest);
        targets.push_back("http://sandboxd.example.org" + base + up + rest);
    }
    for (const std::string& path :
         {"/artifacts/../faas/" + id + "/" + rest, "/artifacts/%2e%2e" + base + "/app.js", "/artifacts/..%2ffaas/" + id,
          "/artifacts/" + hash + "/../.." + base + "/app.js", artifact + "/../../.." + base,
          "//artifacts/" + hash + "/app.js", "/%61rtifacts/" + hash + "/app.js", "/artifacts%2f" + hash + "/app.js",
          "/artifacts/" + hash + "%2fapp.js", "/artifacts//" + hash + "/app.js", artifact + "?x", artifact + "%3fx",
          artifact + "/", artifact + "%00"})
        targets.push_back(path);

    struct request {
        std::string target;
        std::string host;
        std::string version{"1.1"};
    };
    std::vector<request> requests;
    for (const auto& target : targets) {
        requests.push_back({target, place.host()});
        requests.push_back({target, own});
    }
    // One host in the target, another in the field; hosts in other words; none.
    for (const std::string& host : {own,
                                    own + ":" + std::to_string(place.port()),
                                    own + ".",
                                    own + "..",
                                    own + ":80:90",
                                    own + ":1",
                                    own + "]",
                                    "[" + own,
                                    "." + own,
                                    id + "..apps.sandboxd.example.org"s,
                                    id + "%2eapps.sandboxd.example.org",
                                    "x@" + own,
                                    own + ",sandboxd.example.org",
                                    "sandboxd.example.org," + own,
                                    own + "\tsandboxd.example.org",
                                    own + "/",
                                    own + "\\",
                                    own + "#",
                                    "SANDBOXD.example.org."s,
                                    "elsewhere.example"s,
                                    ""s}) {
        requests.push_back({artifact, host});
        requests.push_back({artifact, host, "1.0"});
        requests.push_back({"http://sandboxd.example.org" + artifact, host});
        requests.push_back({"http://" + host + artifact, place.host()});
        requests.push_back({"http://" + host + artifact, own});
    }
    const auto tell = [&](const request& what, const std::string& more = {}) {
        http_client one{place.port()};
        one.send("GET " + what.target + " HTTP/" + what.version + "\r\nHost: " + what.host + "\r\n" + more +
                 "Connection: close\r\n\r\n");
        return one.receive_all();
    };
    // What is asked for by the API's name, as an artifact, is never the deployment's.
    const char* const encodings[] = {"", "Accept-Encoding: br\r\n", "Accept-Encoding: gzip\r\n"};
    const auto check_honest = [&](const char* encoding) {
        const auto told = tell({artifact, place.host()}, encoding);
        CHECK(told.find(planted) == std::string::npos);
        CHECK(told.starts_with("HTTP/1.1 404"));
    };
    std::size_t reached = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        attack();
        INFO(requests[i].target << " for " << requests[i].host);
        if (tell(requests[i], encodings[i % 3]).find(planted) != std::string::npos) ++reached;
        check_honest(encodings[i % 3]);
    }
    for (const char* encoding : encodings) check_honest(encoding);
    CHECK(requests.size() > 200);
    // Under the deployment's own name it is the deployment's, of course.
    CHECK(reached > 0);
    for (const auto& file : fs::recursive_directory_iterator{place.cache()}) {
        if (!file.is_regular_file()) continue;
        INFO(file.path() << bytes_of(file.path()));
        CHECK(bytes_of(file.path()).find(planted) == std::string::npos);
    }
    // And the API's page is not the deployment's origin.
    const auto seen = client.get("/faas/" + id + "/", named);
    CHECK(seen.field("content-security-policy").starts_with("sandbox "));
    CHECK(seen.field("clear-site-data").empty());
    CHECK(client.get("/", {{"Host", own}}).field("clear-site-data").empty());
}
