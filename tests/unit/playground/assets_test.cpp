#include "playground/assets.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <set>
#include <string>
#include <string_view>

using sandboxd::playground::asset;
using sandboxd::playground::assets;
using sandboxd::playground::content_policy;

TEST_CASE("the frame of programs has an opaque origin and no network", "[playground]")
{
    const auto policy =
        content_policy(asset{.name = "frame-0123456789abcdef.html", .script = "sha256-AbC="}, "apps.example.com");
    CHECK(policy.starts_with(
        "sandbox allow-scripts allow-pointer-lock; default-src 'none'; script-src 'sha256-AbC=' blob: 'unsafe-eval'; "));
    // Programs that this server hosts are of strangers, too: only the page above it may be of this server.
    CHECK(policy.find("'self'") == policy.rfind("'self'"));
    CHECK(policy.ends_with("; frame-ancestors 'self'"));
    CHECK(policy.find("allow-same-origin") == std::string::npos);
    CHECK(policy.find("connect-src data: blob:;") != std::string::npos);
    CHECK(policy.find("example.com") == std::string::npos);
    CHECK(policy.find("http") == std::string::npos);
}

TEST_CASE("the page runs no code but its own", "[playground]")
{
    for (const std::string_view name : {"index.html", "page-0123456789abcdef.js", "page-0123456789abcdef.css"}) {
        CAPTURE(name);
        const auto policy = content_policy(asset{.name = name}, "");
        CHECK(policy.starts_with("default-src 'none'; script-src 'self'; "));
        CHECK(policy.find("unsafe") == std::string::npos);
        CHECK(policy.find("require-trusted-types-for 'script'") != std::string::npos);
        CHECK(policy.ends_with("; frame-src 'self'"));
    }
    CHECK(content_policy(asset{.name = "index.html"}, "apps.example.com")
              .ends_with("; frame-src 'self' *.apps.example.com:*"));
}

TEST_CASE("the page of the description runs no code but its own, and makes markup in its viewer alone", "[playground]")
{
    for (const std::string_view name : {"docs.html", "docs-0123456789abcdef.js", "docs-0123456789abcdef.css"}) {
        CAPTURE(name);
        CHECK(sandboxd::playground::is_of_docs(asset{.name = name}));
        const auto policy = content_policy(asset{.name = name}, "apps.example.com");
        CHECK(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "));
        CHECK(policy.find("connect-src 'self'; ") != std::string::npos);
        CHECK(policy.ends_with("; require-trusted-types-for 'script'; trusted-types lit-html"));
    }
    CHECK_FALSE(sandboxd::playground::is_of_docs(asset{.name = "index.html"}));
}

TEST_CASE("every asset is there in three codings, and the page is among them", "[playground]")
{
    if (assets().empty()) SKIP("this build has no playground: npm, Node.js or the registry was missing");
    std::set<std::string_view> names;
    for (const auto& one : assets()) {
        CAPTURE(one.name);
        CHECK(names.insert(one.name).second);
        CHECK(sandboxd::playground::find(one.name) == &one);
        CHECK(one.hash.size() == 32);
        CHECK(!one.identity.empty());
        CHECK(one.gzip.starts_with("\x1f\x8b"));
        CHECK(one.brotli.size() < one.identity.size());
        CHECK(one.script.starts_with("sha256-") == one.name.starts_with("frame-"));
    }
    CHECK(names.contains("index.html"));
    CHECK(names.contains("docs.html"));
    CHECK(sandboxd::playground::find("nothing.js") == nullptr);
}
