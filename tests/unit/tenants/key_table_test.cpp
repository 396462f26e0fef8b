#include "tenants/key_table.hpp"

#include "support/captured_stderr.hpp"
#include "support/files.hpp"
#include "tenants/bearer.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <sys/stat.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::tenants;
using namespace sandboxd::test;

namespace {

void put(const fs::path& file, const std::vector<std::pair<std::string, std::string>>& keys)
{
    std::string text;
    for (const auto& [name, key] : keys)
        text += std::string{text.empty() ? "" : ","} + R"({"name": ")" + name + R"(", "sha256": ")" +
                to_hex(sha256_of(key)) + R"(", "scopes": ["compile"]})";
    write_file(file, R"({"keys": [)" + text + "]}");
    REQUIRE(::chmod(file.c_str(), 0600) == 0);
}

std::string name_of(const key_table& keys, std::string_view key)
{
    const auto found = keys.find(key);
    return found ? found->name : "nobody";
}

// A key that was made while the server ran.
fleet_key made(const std::string& its_name, const std::string& key, scope what = scope::compile)
{
    fleet_key one{.what = {.name = its_name, .digest = sha256_of(key)},
                  .created = std::chrono::system_clock::time_point{std::chrono::milliseconds{1'764'457'276'123}},
                  .by = "op"};
    one.what.scopes.add(what);
    return one;
}

}  // namespace

TEST_CASE("a key is found by its digest", "[tenants]")
{
    const temporary_directory own;
    const auto file = own / "keys.json";
    put(file, {{"a", "key-a"}, {"b", "key-b"}, {"long", std::string(longest_key, 'x')}});
    metrics::registry metrics;
    key_table keys{{.file = file}, metrics};
    CHECK(name_of(keys, "key-a") == "nobody");
    REQUIRE(keys.load());
    CHECK(keys.size() == 3);
    CHECK(name_of(keys, "key-a") == "a");
    CHECK(name_of(keys, "key-b") == "b");
    CHECK(name_of(keys, std::string(longest_key, 'x')) == "long");
    for (const std::string other : {"", "key", "key-A", "key-a ", "key-ab"}) CHECK(name_of(keys, other) == "nobody");
    CHECK(name_of(keys, std::string(longest_key + 1, 'x')) == "nobody");
    CHECK(name_of(keys, to_hex(sha256_of("key-a"))) == "nobody");
}

TEST_CASE("a new file counts, a broken one does not", "[tenants]")
{
    const temporary_directory own;
    const auto file = own / "keys.json";
    put(file, {{"a", "key-a"}, {"b", "key-b"}});
    metrics::registry metrics;
    key_table keys{{.file = file}, metrics};
    REQUIRE(keys.load());
    const auto held = keys.find("key-a");

    const captured_stderr log;
    put(own / "next", {{"b", "key-b"}, {"c", "key-c"}});
    fs::rename(own / "next", file);
    keys.look();
    CHECK(name_of(keys, "key-a") == "nobody");
    CHECK(name_of(keys, "key-b") == "b");
    CHECK(name_of(keys, "key-c") == "c");
    CHECK(held->name == "a");  // a request under way
    CHECK(log.text().find("audit: keys loaded keys=2 added=1 removed=1") != std::string::npos);

    write_file(file, R"({"keys": [{"name": "d"}]})");
    keys.look();
    CHECK(name_of(keys, "key-b") == "b");
    CHECK(keys.failure().find("keys[0].sha256 is required") != std::string::npos);
    const auto said = log.text();
    CHECK(said.find("the former keys stay valid") != std::string::npos);
    // Told once, and not at every look.
    keys.look();
    CHECK(log.text() == said);

    fs::remove(file);
    keys.look();
    CHECK(name_of(keys, "key-b") == "b");
    CHECK(keys.failure().find("No such file") != std::string::npos);

    put(file, {{"d", "key-d"}});
    keys.look();
    CHECK(keys.failure().empty());
    CHECK(name_of(keys, "key-b") == "nobody");
    CHECK(name_of(keys, "key-d") == "d");
    const auto told = metrics.expose();
    CHECK(told.find("sandboxd_auth_reloads_total{result=\"ok\"} 2\n") != std::string::npos);
    CHECK(told.find("sandboxd_auth_reloads_total{result=\"failed\"} 2\n") != std::string::npos);
    CHECK(told.find("sandboxd_auth_keys{from=\"file\"} 1\n") != std::string::npos);
    CHECK(told.find("sandboxd_auth_keys{from=\"redis\"} 0\n") != std::string::npos);
}

TEST_CASE("former keys are known, so that nobody passes them on", "[tenants]")
{
    const temporary_directory own;
    const auto file = own / "keys.json";
    put(file, {{"a", "key-a"}});
    metrics::registry metrics;
    key_table keys{{.file = file}, metrics};
    REQUIRE(keys.load());
    put(file, {{"a", "key-b"}});
    keys.reload();
    CHECK(keys.knows("key-a"));
    CHECK(keys.knows("key-b"));
    CHECK_FALSE(keys.knows("key-c"));
    CHECK_FALSE(keys.knows(""));
    for (const std::string field :
         {"Bearer key-a", "bearer  key-b", "key-b", "Bearer \"key-a\"", "Token token=key-a", "Basic x, Bearer key-b",
          "Bearer:key-a", "x='key-a'", "Basic a2V5LWE6", "basic  Y2k6a2V5LWI="}) {
        CAPTURE(field);
        CHECK(keys.knows_any_in(field));
    }
    for (
        const std::string field :
        {"", "Bearer", "Bearer key-c", "Basic Y2k6a2V5LWM=", "Basic =", "Bearer key-ab",
         R"(Digest username="u", realm="r", nonce="n", uri="/", qop=auth, nc=1, cnonce="c", response="x", opaque="o")"}) {
        CAPTURE(field);
        CHECK_FALSE(keys.knows_any_in(field));
    }
    std::string many;
    for (int i = 0; i < 40; ++i) many += "word ";
    CHECK(keys.knows_any_in(many));
}

TEST_CASE("a key that was taken away does not stay for a passing error", "[tenants]")
{
    const temporary_directory own;
    const auto file = own / "keys.json";
    put(file, {{"a", "key-a"}, {"b", "key-b"}});
    metrics::registry metrics;
    key_table keys{{.file = file}, metrics};
    REQUIRE(keys.load());
    const auto held = keys.find("key-a");
    CHECK(keys.still_has(*held, scope::compile));
    CHECK_FALSE(keys.still_has(*held, scope::deploy));

    const captured_stderr log;
    put(file, {{"b", "key-b"}});
    // The file stays as it is; only its directory is wrong, and then is right.
    REQUIRE(::chmod(own.path().c_str(), 0777) == 0);
    keys.look();
    REQUIRE(name_of(keys, "key-a") == "a");
    REQUIRE(::chmod(own.path().c_str(), 0700) == 0);
    keys.look();
    CHECK(name_of(keys, "key-a") == "nobody");
    CHECK_FALSE(keys.still_has(*held, scope::compile));
    CHECK(keys.failure().empty());
}

TEST_CASE("keys of the fleet count beside those of the file, and go without them", "[tenants]")
{
    const temporary_directory own;
    const auto file = own / "keys.json";
    put(file, {{"a", "key-a"}});
    metrics::registry metrics;
    key_table keys{{.file = file}, metrics};
    REQUIRE(keys.load());
    keys.take_fleet({made("b", "key-b"), made("c", "key-c", scope::admin)});
    CHECK(name_of(keys, "key-a") == "a");
    CHECK(name_of(keys, "key-b") == "b");
    CHECK(name_of(keys, "key-c") == "c");
    CHECK(keys.size() == 3);
    CHECK(keys.size(key_source::file) == 1);
    CHECK(keys.size(key_source::fleet) == 2);
    CHECK(metrics.expose().find("sandboxd_auth_keys{from=\"redis\"} 2\n") != std::string::npos);
    const auto held = keys.find("key-c");
    CHECK(keys.still_has(*held, scope::admin));

    const auto listed = keys.list();
    REQUIRE(listed.size() == 3);
    CHECK(listed.at(0).from == key_source::file);
    CHECK_FALSE(listed.at(0).created);
    CHECK(listed.at(1).from == key_source::fleet);
    CHECK(listed.at(1).what == made("b", "key-b").what);
    CHECK(listed.at(1).created == made("b", "key-b").created);
    CHECK(listed.at(0).by.empty());
    CHECK(listed.at(1).by == "op");
    CHECK(keys.look_up(sha256_of("key-a"))->from == key_source::file);
    CHECK(keys.look_up(sha256_of("key-b"))->what.name == "b");
    CHECK_FALSE(keys.look_up(sha256_of("key-d")));
    CHECK(keys.is_of_file("a"));
    CHECK_FALSE(keys.is_of_file("b"));

    // One more, one fewer: what is gone is known, so that nobody passes it on.
    keys.add_fleet(made("d", "key-d"));
    CHECK(name_of(keys, "key-d") == "d");
    keys.add_fleet(made("d", "key-of-d"));
    CHECK(name_of(keys, "key-d") == "nobody");
    CHECK(name_of(keys, "key-of-d") == "d");
    keys.remove_fleet(sha256_of("key-c"));
    CHECK(name_of(keys, "key-c") == "nobody");
    CHECK(keys.knows("key-c"));
    CHECK_FALSE(keys.still_has(*held, scope::admin));
    // No key of the file goes that way.
    keys.remove_fleet(sha256_of("key-a"));
    CHECK(name_of(keys, "key-a") == "a");

    // Another file leaves the fleet's, and another list of the fleet's the file's.
    put(file, {{"e", "key-e"}});
    keys.reload();
    CHECK(name_of(keys, "key-a") == "nobody");
    CHECK(name_of(keys, "key-b") == "b");
    CHECK(name_of(keys, "key-e") == "e");
    keys.take_fleet({});
    CHECK(name_of(keys, "key-b") == "nobody");
    CHECK(name_of(keys, "key-e") == "e");
    CHECK(keys.size(key_source::fleet) == 0);
}

TEST_CASE("until the fleet's keys are known every unknown key may be one of them", "[tenants]")
{
    const temporary_directory own;
    const auto file = own / "keys.json";
    put(file, {{"a", "key-a"}});
    metrics::registry metrics;
    key_table keys{{.file = file}, metrics};
    REQUIRE(keys.load());
    // Where no fleet shares keys there is nothing to wait for.
    CHECK(keys.are_fleet_keys_known());
    CHECK_FALSE(keys.knows_any_in("Bearer key-b"));
    keys.expect_fleet();
    CHECK_FALSE(keys.are_fleet_keys_known());
    CHECK(name_of(keys, "key-a") == "a");
    for (const std::string field :
         {"Bearer key-a", "Bearer key-b", "Basic Y2k6a2V5LWI=", "key-b", "Token token=key-b"}) {
        CAPTURE(field);
        CHECK(keys.knows_any_in(field));
    }
    CHECK_FALSE(keys.knows_any_in(""));
    // Another file does not tell of them, nor does one key.
    keys.reload();
    keys.add_fleet(made("b", "key-b"));
    CHECK_FALSE(keys.are_fleet_keys_known());
    keys.take_fleet({made("b", "key-b")});
    CHECK(keys.are_fleet_keys_known());
    CHECK(keys.knows_any_in("Bearer key-b"));
    CHECK_FALSE(keys.knows_any_in("Bearer key-c"));
}

TEST_CASE("the keys file shuts out keys of the fleet with its names and digests", "[tenants]")
{
    const temporary_directory own;
    const auto file = own / "keys.json";
    put(file, {{"a", "key-a"}});
    metrics::registry metrics;
    key_table keys{{.file = file}, metrics};
    REQUIRE(keys.load());
    const captured_stderr log;
    keys.take_fleet({made("a", "key-of-another", scope::admin), made("b", "key-a", scope::admin), made("c", "key-c")});
    CHECK(name_of(keys, "key-of-another") == "nobody");
    CHECK(name_of(keys, "key-a") == "a");
    CHECK_FALSE(keys.find("key-a")->scopes.has(scope::admin));
    CHECK(keys.size(key_source::fleet) == 1);
    CHECK(keys.list().size() == 2);
    // So that it can be deleted.
    CHECK(keys.look_up(sha256_of("key-of-another"))->from == key_source::fleet);
    const auto said = log.text();
    CHECK(said.find("a key of Redis does not count") != std::string::npos);
    CHECK(said.find("sha256=" + to_hex(sha256_of("key-of-another"))) != std::string::npos);

    put(file, {{"b", "key-x"}});
    keys.reload();
    CHECK(name_of(keys, "key-of-another") == "a");
    CHECK(name_of(keys, "key-a") == "nobody");
    CHECK(keys.size(key_source::fleet) == 2);
}

TEST_CASE("a key that is made anew under a name is the same tenant's", "[tenants]")
{
    const temporary_directory own;
    const auto file = own / "keys.json";
    put(file, {});
    metrics::registry metrics;
    key_table keys{{.file = file}, metrics};
    REQUIRE(keys.load());
    auto first = made("a", "key-1", scope::execute);
    first.what.limits.set(limit::fuel_per_day, 100);
    keys.add_fleet(first);
    const auto now = std::chrono::system_clock::now();
    keys.find("key-1")->account->spend_fuel(100, now);
    keys.remove_fleet(first.what.digest);
    auto second = made("a", "key-2", scope::execute);
    second.what.limits.set(limit::fuel_per_day, 100);
    keys.add_fleet(second);
    CHECK(keys.find("key-2")->account->refuse(work::script, now));
    CHECK(keys.find("key-2")->client == client_of_tenant("a"));
}

TEST_CASE("64 tenants are named in metrics, and the rest are one", "[tenants]")
{
    const temporary_directory own;
    const auto file = own / "keys.json";
    metrics::registry metrics;
    key_table keys{{.file = file}, metrics};
    std::vector<std::pair<std::string, std::string>> all{{"other", "key-other"}};
    for (int i = 0; i < 66; ++i) all.emplace_back("t" + std::to_string(i), "key-" + std::to_string(i));
    put(file, all);
    REQUIRE(keys.load());
    for (const auto& [name, key] : all) keys.find(key)->account->counted().requests.add();
    const auto told = metrics.expose();
    CHECK(told.find("sandboxd_tenant_requests_total{tenant=\"t63\"} 1\n") != std::string::npos);
    // Two more, and the one that is called so.
    CHECK(told.find("sandboxd_tenant_requests_total{tenant=\"other\"} 3\n") != std::string::npos);
    CHECK(told.find("tenant=\"t64\"") == std::string::npos);
}

TEST_CASE("a new file changes limits, and no count", "[tenants]")
{
    const temporary_directory own;
    const auto file = own / "keys.json";
    metrics::registry metrics;
    key_table keys{{.file = file}, metrics};
    const auto put_limit = [&](const std::string& name, int fuel) {
        write_file(file, R"({"keys": [{"name": ")" + name + R"(", "sha256": ")" + to_hex(sha256_of("key")) +
                             R"(", "scopes": ["execute"], "limits": {"fuelPerDay": )" + std::to_string(fuel) + "}}]}");
        REQUIRE(::chmod(file.c_str(), 0600) == 0);
    };
    const auto now = std::chrono::system_clock::now();
    const auto may_run = [&] { return !keys.find("key")->account->refuse(work::script, now); };
    put_limit("a", 100);
    REQUIRE(keys.load());
    keys.find("key")->account->spend_fuel(100, now);
    CHECK_FALSE(may_run());
    keys.reload();
    CHECK_FALSE(may_run());
    put_limit("a", 101);
    keys.reload();
    CHECK(may_run());
    // Who was away comes back with what he has used.
    put_limit("b", 1);
    keys.reload();
    CHECK(may_run());
    put_limit("a", 100);
    keys.reload();
    CHECK_FALSE(may_run());
}

TEST_CASE("credentials are one word behind Bearer", "[tenants]")
{
    using kind = credentials::kind;
    for (const std::string field : {"", " ", "Basic YTpi", "Bearer2 x", "key", "Digest x", "Bear er"})
        CHECK(read_credentials(field).is == kind::none);
    for (const std::string field :
         {"Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer \"a\"", "Bearer =", "Bearer =a", "Bearer a=b",
          "Bearer a\tb", "Bearer\ta", "Bearer \xc3\xa4", "Bearer a;b", "Bearer a, Bearer b"}) {
        CAPTURE(field);
        CHECK(read_credentials(field).is == kind::malformed);
    }
    for (const std::string field :
         {"Bearer aZ09-._~+/==", "bearer aZ09-._~+/==", "BEARER   aZ09-._~+/==", " Bearer aZ09-._~+/== "}) {
        CAPTURE(field);
        const auto read = read_credentials(field);
        CHECK(read.is == kind::bearer);
        CHECK(read.key == "aZ09-._~+/==");
    }
}

TEST_CASE("a challenge says what RFC 6750 has for it", "[tenants]")
{
    CHECK(challenge(refusal_of_key::missing) == R"(Bearer realm="sandboxd")");
    CHECK(challenge(refusal_of_key::malformed) == R"(Bearer realm="sandboxd", error="invalid_request")");
    CHECK(challenge(refusal_of_key::unknown) == R"(Bearer realm="sandboxd", error="invalid_token")");
    CHECK(challenge(refusal_of_key::not_known_yet).empty());
    CHECK(challenge(refusal_of_key::scope, scope::deploy) ==
          R"(Bearer realm="sandboxd", error="insufficient_scope", scope="deploy")");
    for (std::size_t i = 0; i < scope_count; ++i) {
        const auto one = static_cast<scope>(i);
        CHECK(scope_named(name(one)) == one);
    }
    CHECK_FALSE(scope_named("root"));
}
