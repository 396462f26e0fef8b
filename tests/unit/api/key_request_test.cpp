#include "api/key_request.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;
using namespace sandboxd::api;

TEST_CASE("a request for a key is read by the rules of the keys file", "[tenants][api]")
{
    const auto read =
        read_key_request(R"({"name": "ci", "scopes": ["compile", "admin"], "limits": {"fuelPerDay": 5}})");
    REQUIRE(read.has_value());
    CHECK(read->name == "ci");
    CHECK(read->scopes.has(tenants::scope::compile));
    CHECK(read->scopes.has(tenants::scope::admin));
    CHECK_FALSE(read->scopes.has(tenants::scope::deploy));
    CHECK(read->limits.get(tenants::limit::fuel_per_day) == 5);
    CHECK_FALSE(read->limits.get(tenants::limit::deployments));
    CHECK(read_key_request(R"({"name": "ci", "scopes": ["compile"]})").has_value());
}

TEST_CASE("a request for a key with a slip is refused, with its place", "[tenants][api]")
{
    const struct {
        std::string body;
        std::string said;
    } rows[] = {
        {"", "the body is not JSON: "},
        {"[]", "the body must be a JSON object"},
        {"{}", "name is required"},
        {R"({"name": "a"})", "scopes is required"},
        {R"({"name": "", "scopes": ["compile"]})", "name is '', but must be 1 to 64"},
        {R"({"name": null, "scopes": ["compile"]})", "name must be a string"},
        {R"({"name": "a", "scopes": []})", "scopes is empty"},
        {R"({"name": "a", "scopes": ["compile", "compile"]})", "scopes[1] comes twice"},
        {R"({"name": "a", "scopes": ["all"]})", "scopes[0] is 'all'; there are compile,"},
        {R"({"name": "a", "scopes": ["compile"], "limits": {"deployment": 1}})",
         "limits.deployment is not known here; did you mean deployments?"},
        {R"({"name": "a", "scopes": ["compile"], "limits": null})", "limits must be an object"},
        {R"({"name": "a", "scopes": ["compile"], "key": "chosen"})", "key is not known here"},
        {R"({"name": "a", "scopes": ["compile"], "by": "another"})", "by is not known here"},
        {R"({"name": "a", "name": "b", "scopes": ["compile"]})", "name comes twice"},
    };
    for (const auto& [body, said] : rows) {
        CAPTURE(body, said);
        const auto read = read_key_request(body);
        REQUIRE_FALSE(read.has_value());
        CHECK(read.error().code == errc::invalid_request);
        CAPTURE(read.error().message);
        CHECK(read.error().message.starts_with(said));
    }
}
