#include "tenants/fleet_key.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstddef>
#include <string>

using namespace sandboxd;
using namespace sandboxd::tenants;
using namespace std::chrono_literals;

namespace {

const auto some_digest = sha256_of("key");

fleet_key largest()
{
    fleet_key made{.what = {.name = std::string(64, 'a'), .digest = some_digest},
                   .created = std::chrono::system_clock::time_point{1'764'457'276'123ms},
                   .by = std::string(64, 'b')};
    for (std::size_t i = 0; i < scope_count; ++i) made.what.scopes.add(static_cast<scope>(i));
    for (std::size_t i = 0; i < limit_count; ++i)
        made.what.limits.set(static_cast<limit>(i), most_of(static_cast<limit>(i)));
    return made;
}

}  // namespace

TEST_CASE("a key of the fleet is read as it was written", "[tenants]")
{
    fleet_key least{.what = {.name = "a", .digest = some_digest}, .by = "b"};
    least.what.scopes.add(scope::admin);
    for (const auto& one : {least, largest()}) {
        const auto text = to_text(one);
        CAPTURE(text);
        CHECK(text.size() <= 1024);
        CHECK(text.find(to_hex(some_digest)) == std::string::npos);
        const auto read = fleet_key_from(text, some_digest);
        REQUIRE(read.has_value());
        CHECK(*read == one);
    }
    CHECK(to_text(least) == R"({"name":"a","scopes":["admin"],"limits":{},"created":0,"by":"b"})");
}

TEST_CASE("what another version of the program means is no key", "[tenants]")
{
    REQUIRE(fleet_key_from(R"({"name": "a", "scopes": ["admin"], "created": 1, "by": "op"})", some_digest).has_value());
    for (const std::string text :
         {"", "{}", "[]", R"({"name": "a", "scopes": ["admin"]})", R"({"scopes": ["admin"], "created": 1, "by": "op"})",
          R"({"name": "a", "created": 1, "by": "op"})", R"({"name": "a", "scopes": [], "created": 1, "by": "op"})",
          R"({"name": "a b", "scopes": ["admin"], "created": 1, "by": "op"})",
          R"({"name": "a", "scopes": ["root"], "created": 1, "by": "op"})",
          R"({"name": "a", "scopes": ["admin"], "created": -1, "by": "op"})",
          R"({"name": "a", "scopes": ["admin"], "created": 1, "by": "op", "until": 2})",
          R"({"name": "a", "scopes": ["admin"], "created": 1})",
          R"({"name": "a", "scopes": ["admin"], "created": 1, "by": "b c"})",
          R"({"name": "a", "scopes": ["admin"], "created": 1, "by": ""})",
          R"({"name": "a", "scopes": ["admin"], "created": 1, "by": "op", "limits": {"memoryBytes": 1}})"}) {
        CAPTURE(text);
        CHECK_FALSE(fleet_key_from(text, some_digest).has_value());
    }
}

TEST_CASE("a digest is 64 lower-case hexadecimal digits", "[tenants]")
{
    const auto text = to_hex(some_digest);
    CHECK(read_digest(text) == some_digest);
    for (const auto& wrong : {std::string{}, text.substr(1), text + "0", "G" + text.substr(1), "A" + text.substr(1)})
        CHECK_FALSE(read_digest(wrong));
}
