#include "faas/dependencies.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;
using namespace sandboxd::faas;

TEST_CASE("what comes from the registry passes, all else is refused", "[faas]")
{
    for (const auto* spec : {"^4.18.2", "4", "1.x || >=2.5.0 <3", "latest", "", "*", "~1.2", "1.2.3-beta.1+build",
                             "npm:preact@^10", "npm:@scope/name@latest", "npm:preact", "1.0 - 2.0"}) {
        CAPTURE(spec);
        CHECK(is_registry_spec(spec));
    }
    for (const auto* spec : {"git+https://github.com/a/b.git", "github:a/b", "a/b", "http://x/y.tgz", "https://x/y.tgz",
                             "file:../x", "link:../x", "workspace:*", "./local", "../local", "/abs", "~/home",
                             "npm:../x@1", "npm:", "git@github.com:a/b", "x.tgz\n", "-flag", "catalog:"}) {
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
    CHECK(fault(R"({"dependencies":{"../a":"1"}})").find("no package name") != std::string::npos);
}

TEST_CASE("a set of packages has one key, whatever the order", "[faas]")
{
    const auto key = install_key({{"a", "1"}, {"b", "2"}}, "bun 1");
    CHECK(key == install_key({{"b", "2"}, {"a", "1"}}, "bun 1"));
    CHECK(key != install_key({{"a", "1"}, {"b", "2"}}, "npm 1"));
    CHECK(key != install_key({{"a", "1b"}, {"", "2"}}, "bun 1"));
    CHECK(key.size() == 64);
}
