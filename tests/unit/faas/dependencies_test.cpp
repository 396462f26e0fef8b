#include "faas/dependencies.hpp"

#include "faas/installer.hpp"
#include "support/on_loop.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;
using namespace sandboxd::faas;

namespace {

std::string foreign(std::string lock, const std::vector<origin>& allowed)
{
    return test::on_loop(foreign_source(std::move(lock), allowed));
}

}  // namespace

TEST_CASE("what comes from the registry passes, all else is refused", "[faas]")
{
    for (const auto* spec : {"^4.18.2", "4", "1.x || >=2.5.0 <3", "latest", "", "*", "~1.2", "1.2.3-beta.1+build",
                             "npm:preact@^10", "npm:@scope/name@latest", "npm:preact", "1.0 - 2.0"}) {
        CAPTURE(spec);
        CHECK(is_registry_spec(spec));
    }
    for (const auto* spec : {"git+https://github.com/a/b.git",
                             "github:a/b",
                             "a/b",
                             "http://x/y.tgz",
                             "https://x/y.tgz",
                             "file:../x",
                             "link:../x",
                             "workspace:*",
                             "./local",
                             "../local",
                             "/abs",
                             "~/home",
                             "npm:../x@1",
                             "npm:",
                             "git@github.com:a/b",
                             "x.tgz\n",
                             "-flag",
                             "catalog:",
                             " .",
                             " -flag",
                             "1 ",
                             " "}) {
        CAPTURE(spec);
        CHECK_FALSE(is_registry_spec(spec));
    }
    for (const auto* name : {"express", "@types/node", "a.b_c-d", "JSONStream"}) CHECK(is_package_name(name));
    for (const auto* name : {"", "../x", "@x", "@/x", "@x/", "a/b", "a b", ".hidden", "_x", "node_modules", "a@b"}) {
        CAPTURE(name);
        CHECK_FALSE(is_package_name(name));
    }
}

TEST_CASE("package.json is read and its faults are named", "[faas]")
{
    const auto made = read_package_manifest(
        R"({"name":"x","scripts":{"dev":"bun run --hot index.ts"},"dependencies":{"express":"^4.18.2"},
            "devDependencies":{"evil":"git+https://x"},"optionalDependencies":{"b":"1"}})");
    REQUIRE(made.has_value());
    CHECK(made->scripts.at("dev") == "bun run --hot index.ts");
    CHECK(made->dependencies == text_map{{"b", "1"}, {"express", "^4.18.2"}});
    CHECK(install_manifest(made->dependencies) ==
          R"({"name":"deployment","private":true,"dependencies":{"b":"1","express":"^4.18.2"}})");

    CHECK(install_manifest({{"a\"", "\n"}}) == R"({"name":"deployment","private":true,"dependencies":{"a\"":"\n"}})");
    // Nobody asks for these, however many there are.
    CHECK(read_package_manifest(R"({"dependencies":null,"scripts":null,"x":{"a":1,"a":2}})").has_value());

    const auto fault = [](std::string_view text) {
        const auto read = read_package_manifest(text);
        REQUIRE(read.has_error());
        CHECK(read.error().code == errc::unprocessable);
        return read.error().message;
    };
    // As npm trims them.
    const auto blanks = read_package_manifest(R"({"dependencies":{"a":" ^1 || 2\n","b":" "}})");
    REQUIRE(blanks.has_value());
    CHECK(blanks->dependencies == text_map{{"a", "^1 || 2"}, {"b", ""}});
    CHECK(fault(R"({"dependencies":{"a":" ."}})").find("\"a\" comes from \".\"") != std::string::npos);
    CHECK(fault("{").find("not JSON") != std::string::npos);
    CHECK(fault("[]").find("object") != std::string::npos);
    CHECK(fault(R"({"dependencies":[]})").find("dependencies") != std::string::npos);
    CHECK(fault(R"({"dependencies":{"a":1}})").find("\"a\"") != std::string::npos);
    CHECK(fault(R"({"scripts":{"a\n":[]}})") == "package.json: scripts.\"a\\n\" must be a string, not an array");
    CHECK(fault(R"({"dependencies":{"a":"1","a":"2"}})") == "package.json: dependencies.\"a\" comes twice");
    CHECK(fault(R"({"name":"x","name":{},"dependencies":1})").find("dependencies must be an object") !=
          std::string::npos);
    std::string many;
    for (int i = 0; i <= 512; ++i) many += (many.empty() ? "" : ",") + ("\"p" + std::to_string(i) + "\":\"1\"");
    CHECK(fault("{\"dependencies\":{" + many + "}}").find("512") != std::string::npos);
    CHECK(fault(R"({"dependencies":{"a":"git+ssh://x"}})").find("\"a\"") != std::string::npos);
    CHECK(fault(R"({"dependencies":{"../a":"1"}})").find("not a package name") != std::string::npos);
}

TEST_CASE("a set of packages has one key, whatever the order", "[faas]")
{
    const auto key = install_key({{"a", "1"}, {"b", "2"}}, "bun 1");
    CHECK(key == install_key({{"b", "2"}, {"a", "1"}}, "bun 1"));
    CHECK(key != install_key({{"a", "1"}, {"b", "2"}}, "npm 1"));
    CHECK(key != install_key({{"a", "1b"}, {"", "2"}}, "bun 1"));
    CHECK(key.size() == 64);
}

TEST_CASE("what npm and Bun take for an archive is no range", "[faas]")
{
    for (const char* bad : {"foo.tgz", "foo.TGZ", "1.0.0.tgz", "foo.tar.gz", "foo.Tar.Gz", "foo.tar", "foo.tgz ",
                            "npm:foo.tgz", "npm:foo@bar.tgz", "npm:foo.tgz@1"}) {
        CAPTURE(bad);
        CHECK_FALSE(is_registry_spec(bad));
    }
    for (const char* good : {"tgz", "1.0.0-tgz", "latest", "^1.2", "npm:tar@^6"}) {
        CAPTURE(good);
        CHECK(is_registry_spec(good));
    }
}

TEST_CASE("a lock file's sources are the registry's or are told", "[faas]")
{
    const std::vector<origin> allowed{{true, "registry.npmjs.org", 443}, {false, "127.0.0.1", 4873}};
    CHECK(foreign("", allowed).empty());
    CHECK(foreign(R"({"resolved": "https://registry.npmjs.org/a/-/a-1.0.0.tgz", "link": false})", allowed).empty());
    CHECK(foreign(R"({"resolved":"http://127.0.0.1:4873/a.tgz"})", allowed).empty());
    for (const char* bad :
         {R"({"resolved": "http://127.0.0.1:8080/a.tgz"})", R"({"resolved": "file:../a"})", R"({"link": true})",
          R"({"resolved": "https://registry.npmjs.org.evil.example/a"})",
          R"({"resolved": "http://registry.npmjs.org/a"})", R"({"resolved": "https://registry.npmjs.org:444/a"})",
          R"({"resolved":"git+ssh://git@github.com/a/b.git#1"})", R"("a": ["a@file:../x", {}])",
          R"("a": ["a@http://x/a.tgz", {}])", R"("a": ["a@github:x/y", {}])",
          // Archives on disk, as Bun has them.
          R"("a": ["a@./a.tgz", {}, "sha512-x"])", R"("a": ["a@../a.tgz", {}, "sha512-x"])",
          R"("a": ["a@/tmp/a.tgz", {}, "sha512-x"])", R"("a": ["a@a.tgz", {}, "sha512-x"])",
          R"("a": ["a@1.tgz", {}, "sha512-x"])", R"("a": ["a@1/a.tgz", {}, "sha512-x"])",
          R"("@b/a": ["@b/a@a.tgz", {}, "sha512-x"])", R"("a\"": ["a\"@a.tgz", {}, "sha512-x"])",
          R"("a": ["a@1.0.0@a.tgz", {}, "sha512-x"])", R"("a": ["a@", {}, "sha512-x"])",
          R"("a": ["a@1.0.0", "https://evil.example/a.tgz", {}, "sha512-x"])",
          R"("a": ["a@1.0.0", "http://127.0.0.1:8080/a.tgz", {}, "sha512-x"])",
          R"("a": ["a@1.0.0", "a.tgz", {}, "sha512-x"])",
          R"("b": ["b@1.0.0", "", {}, "sha512-x"], "a": ["a@a.tgz", {}, "sha512-x"])"}) {
        CAPTURE(bad);
        CHECK_FALSE(foreign(bad, allowed).empty());
    }
    // Wherever in a large file it is.
    for (std::size_t before = 64 * 1024 - 60; before < 64 * 1024 + 4; ++before)
        CHECK(foreign(std::string(before, ' ') + R"({"resolved": "http://127.0.0.1:8080/a.tgz"})", allowed) ==
              "http://127.0.0.1:8080/a.tgz");
    for (std::size_t before = 64 * 1024 - 30; before < 64 * 1024 + 4; ++before)
        CHECK(foreign(std::string(before, ' ') + R"("a": ["a@1.0.0", "http://127.0.0.1:8080/a.tgz", {}])", allowed) ==
              "http://127.0.0.1:8080/a.tgz");
    for (const char* good :
         {R"("@http/x": ["@http/x@1.0.0", "", {}, "sha512-x"])",
          R"("a": ["a@1.0.0-rc.1+b", "http://127.0.0.1:4873/a/-/a-1.0.0.tgz", {}, "sha512-x"])",
          R"("x": ["a@1.0.0", "", { "dependencies": { "b": "npm:@b/c@^1" }, "os": ["linux", "darwin"],
              "optionalPeers": ["@types/node", "b"] }, "sha512-x"])",
          R"("c[": ["a@1.0.0", "", { "bin": { "a: [": "b@c" } }, "sha512-x"])",
          // npm's, without blanks.
          R"({"packages":{"node_modules/a":{"funding":["https://example.com/@a","https://example.com/@b"]}}})"}) {
        CAPTURE(good);
        CHECK(foreign(good, allowed).empty());
    }
    const auto url = parse_registry_url("https://User:Pass@Registry.Example:8443/npm/");
    REQUIRE(url.has_value());
    CHECK(url->at == origin{true, "registry.example", 8443});
    CHECK(url->user_info == "User:Pass");
    for (const char* bad : {"ftp://x", "https://", "https://a b/", "https://a/ b", "https://a/ ", "https://x:0/",
                            "https://x:99999/", "https://-x/"})
        CHECK(parse_registry_url(bad).has_error());
}
