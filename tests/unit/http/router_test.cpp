#include "http/router.hpp"

#include "http/server_state.hpp"
#include "http/session.hpp"

#include <boost/asio/io_context.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::http;

namespace {

// An exchange that has read nothing: what match_pattern needs is a place for the captures.
struct idle_exchange {
    asio::io_context loop;
    metrics::registry metrics;
    server_state owner{loop.get_executor(), {}, {}, metrics};
    session connection{owner, stream_socket{loop}, unix_peer()};
    exchange x{connection};
};

struct row {
    const char* pattern;
    std::string path;
    bool matches;
    std::vector<std::string> params;
};

}  // namespace

TEST_CASE("a pattern matches whole paths, raw", "[http][router]")
{
    const row rows[] = {
        {"/healthz", "/healthz", true, {}},
        {"/healthz", "/healthz/", false, {}},
        {"/healthz", "/Healthz", false, {}},
        {"/healthz", "/health", false, {}},
        {"/healthz", "/healthzz", false, {}},
        {"/healthz", "/x/healthz", false, {}},
        {"/healthz", "//healthz", false, {}},
        {"/healthz", "/%68ealthz", false, {}},
        {"/healthz", "", false, {}},
        {"/healthz", "*", false, {}},
        {"/", "/", true, {}},
        {"/", "", false, {}},
        {"/a/{}", "/a/b", true, {"b"}},
        {"/a/{}", "/a/", false, {}},
        {"/a/{}", "/a", false, {}},
        {"/a/{}", "/a/b/", false, {}},
        {"/a/{}", "/a/b/c", false, {}},
        {"/a/{}", "/A/b", false, {}},
        {"/a/{}", "/ab", false, {}},
        {"/a/{}", "//b", false, {}},
        {"/a/{}", "a/b", false, {}},
        {"/a/{}", "", false, {}},
        {"/a/{}", "*", false, {}},
        {"/a/{}", "/a/{}", true, {"{}"}},
        {"/a/{}", "/a/..", true, {".."}},  // raw: the handler decides what a name may be
        {"/a/{}", "/a/%2e%2e", true, {"%2e%2e"}},
        {"/a/{}", "/a/b%2fc", true, {"b%2fc"}},
        {"/a/{}", "/a/b\\c", true, {"b\\c"}},
        {"/artifacts/{}/{}", "/artifacts/id/app.js", true, {"id", "app.js"}},
        {"/artifacts/{}/{}", "/artifacts/id", false, {}},
        {"/artifacts/{}/{}", "/artifacts/id/", false, {}},
        {"/artifacts/{}/{}", "/artifacts//app.js", false, {}},
        {"/artifacts/{}/{}", "/artifacts//", false, {}},
        {"/artifacts/{}/{}", "/artifacts/id/app.js/", false, {}},
        {"/artifacts/{}/{}", "/artifacts/id/a/b", false, {}},
        {"/artifacts/{}/{}", "/artifacts/../id/app.js", false, {}},
        {"/{}", "/x", true, {"x"}},
        {"/{}", "/", false, {}},
        {"/{}/x", "/y/x", true, {"y"}},
        {"/{}/x", "/y/z", false, {}},
        {"/{}/x", "/y/x/", false, {}},
        {"/a/{}/b/{}", "/a/1/b/2", true, {"1", "2"}},
        {"/a/{}/b/{}", "/a/1/c/2", false, {}},
        {"/a/{}/{*}", "/a/1/", true, {"1", ""}},
        {"/a/{}/{*}", "/a/1/b", true, {"1", "b"}},
        {"/a/{}/{*}", "/a/1//b/../c/", true, {"1", "/b/../c/"}},
        {"/a/{}/{*}", "/a/1", false, {}},
        {"/a/{}/{*}", "/a//b", false, {}},
        {"/a/{}/{*}", "/b/1/c", false, {}},
    };
    for (const auto& row : rows) {
        CAPTURE(row.pattern, row.path);
        idle_exchange idle;
        CHECK(match_pattern(row.pattern, row.path, idle.x) == row.matches);
        for (std::size_t i = 0; i < row.params.size(); ++i) CHECK(idle.x.param(i) == row.params[i]);
    }
}
