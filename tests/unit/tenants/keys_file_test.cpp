#include "tenants/keys_file.hpp"

#include "support/files.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

using namespace sandboxd;
using namespace sandboxd::tenants;
using namespace sandboxd::test;

namespace {

const std::string one_digest = to_hex(sha256_of("one"));
const std::string two_digest = to_hex(sha256_of("two"));

std::string entry(const std::string& name, const std::string& digest, const std::string& scopes = R"(["compile"])")
{
    return R"({"name": ")" + name + R"(", "sha256": ")" + digest + R"(", "scopes": )" + scopes + "}";
}

std::string keys_of(const std::string& entries) { return R"({"keys": [)" + entries + "]}"; }

std::string fault_of(const std::string& text, const keys_file_limits& limits = {})
{
    const auto read = read_keys(text, limits);
    return read ? "" : read.error().message;
}

void put(const fs::path& file, const std::string& text, mode_t mode = 0600)
{
    write_file(file, text);
    REQUIRE(::chmod(file.c_str(), mode) == 0);
}

std::string with_limits(const std::string& limits)
{
    return R"({"name": "a", "sha256": ")" + std::string{one_digest} + R"(", "scopes": ["compile"], "limits": )" +
           limits + "}";
}

}  // namespace

TEST_CASE("a keys file is read", "[tenants]")
{
    const auto read = read_keys(
        keys_of(entry("ci", one_digest) + "," +
                entry("team-2.eu_west", two_digest, R"(["compile", "execute", "sandbox", "deploy", "admin", "keys"])")),
        {});
    REQUIRE(read);
    REQUIRE(read->size() == 2);
    CHECK(read->front().name == "ci");
    CHECK(read->front().digest == sha256_of("one"));
    CHECK(read->front().scopes.has(scope::compile));
    CHECK_FALSE(read->front().scopes.has(scope::execute));
    for (std::size_t i = 0; i < scope_count; ++i) CHECK(read->back().scopes.has(static_cast<scope>(i)));
    // Nobody has a key: all is closed.
    const auto none = read_keys(R"({"keys": []})", {});
    REQUIRE(none);
    CHECK(none->empty());
}

TEST_CASE("a keys file with a slip is refused, with its place", "[tenants]")
{
    const auto fine = entry("a", one_digest);
    const struct {
        std::string text;
        std::string said;
    } rows[] = {
        {"", "it is not JSON"},
        {"nothing", "it is not JSON"},
        {keys_of(fine) + "}", "it is not JSON"},
        {keys_of(fine + ","), "it is not JSON"},
        {R"({"keys": [], // none)"
         "\n}",
         "it is not JSON"},
        {"[]", "it must be an object"},
        {"\"keys\"", "it must be an object"},
        {"null", "it must be an object"},
        {"{}", "keys is required"},
        {R"({"keys": null})", "keys must be an array, not null"},
        {R"({"keys": {}})", "keys must be an array, not an object"},
        {R"({"keys": ["a"]})", "keys[0] must be an object with name, sha256 and scopes"},
        {R"({"keys": [], "key": []})", "key is not known here"},
        {R"({"keys": [], "keys": []})", "keys comes twice"},
        {keys_of(with_limits(R"({"cpuSecondPerDay": 1})")),
         "keys[0].limits.cpuSecondPerDay is not known here; did you mean cpuSecondsPerDay?"},
        {keys_of(with_limits(R"({"memory": 1})")), "keys[0].limits.memory is not known here"},
        {keys_of(with_limits(R"({"deployments": 0})")), "keys[0].limits.deployments must be"},
        {keys_of(with_limits(R"({"deployments": -1})")), "keys[0].limits.deployments must be"},
        {keys_of(with_limits(R"({"deployments": 1.5})")), "keys[0].limits.deployments must be"},
        {keys_of(with_limits(R"({"deployments": null})")), "keys[0].limits.deployments must be"},
        {keys_of(with_limits(R"({"deployments": "5"})")), "keys[0].limits.deployments must be"},
        {keys_of(with_limits(R"({"fuelPerDay": 1000000000000000001})")), "keys[0].limits.fuelPerDay must be"},
        {keys_of(with_limits(R"({"fuelPerDay": 1, "fuelPerDay": 2})")), "keys[0].limits.fuelPerDay comes twice"},
        {keys_of(with_limits("null")), "keys[0].limits must be an object"},
        {keys_of(with_limits("[]")), "keys[0].limits must be an object"},
        {keys_of(R"({"sha256": ")" + one_digest + R"(", "scopes": ["compile"]})"), "keys[0].name is required"},
        {keys_of(R"({"name": "a", "scopes": ["compile"]})"), "keys[0].sha256 is required"},
        {keys_of(R"({"name": "a", "sha256": ")" + one_digest + "\"}"), "keys[0].scopes is required"},
        {keys_of(fine + R"(, {"name": "b", "sha256": ")" + two_digest + R"(", "scopes": ["compile"], "key": "b"})"),
         "keys[1].key is not known here"},
        {keys_of(R"({"name": "a", "sha256": ")" + one_digest + R"(", "scope": ["compile"]})"),
         "keys[0].scope is not known here"},
        {keys_of(R"({"name": 1, "sha256": ")" + one_digest + R"(", "scopes": ["compile"]})"),
         "keys[0].name must be a string, not an integer"},
        {keys_of(entry("", one_digest)), "keys[0].name is '', but must be"},
        {keys_of(entry("-a", one_digest)), "keys[0].name is '-a', but must be"},
        {keys_of(entry("a b", one_digest)), "keys[0].name is 'a b', but must be"},
        {keys_of(entry(R"(a\")", one_digest)), "keys[0].name is 'a\"', but must be"},
        {keys_of(entry(R"(a\nb)", one_digest)), R"(keys[0].name is 'a\x0ab', but must be)"},
        {keys_of(entry(std::string(65, 'a'), one_digest)), "keys[0].name is"},
        {keys_of(entry("a", "")), "keys[0].sha256 must be the 64"},
        {keys_of(entry("a", one_digest.substr(1))), "keys[0].sha256 must be the 64"},
        {keys_of(entry("a", one_digest + "0")), "keys[0].sha256 must be the 64"},
        {keys_of(entry("a", "A" + one_digest.substr(1))), "keys[0].sha256 must be the 64"},
        {keys_of(entry("a", "g" + one_digest.substr(1))), "keys[0].sha256 must be the 64"},
        {keys_of(entry("a", to_hex(sha256_of("")))), "keys[0].sha256 is that of an empty key"},
        {keys_of(entry("a", one_digest, "[]")), "keys[0].scopes is empty"},
        {keys_of(entry("a", one_digest, R"("compile")")), "keys[0].scopes must be an array"},
        {keys_of(entry("a", one_digest, "[1]")), "keys[0].scopes[0] must be a string"},
        {keys_of(entry("a", one_digest, R"(["compile", "Compile"])")),
         "keys[0].scopes[1] is 'Compile'; there are compile,"},
        {keys_of(entry("a", one_digest, R"(["*"])")), "keys[0].scopes[0] is '*'; there are compile,"},
        {keys_of(entry("a", one_digest, R"(["deploy", "deploy"])")), "keys[0].scopes[1] comes twice"},
        {keys_of(entry("a", one_digest, R"(["admin", "admin", "admin", "admin", "admin", "admin", "admin"])")),
         "keys[0].scopes has more than 6 items"},
        {keys_of(fine + "," + entry("a", two_digest)), "keys[1].name 'a' is that of keys[0] too"},
        {keys_of(fine + "," + entry("b", one_digest)), "keys[1].sha256 is that of keys[0] too"},
    };
    for (const auto& [text, said] : rows) {
        CAPTURE(text, said);
        const auto fault = fault_of(text);
        CAPTURE(fault);
        CHECK(fault.starts_with(said));
    }
    CHECK(fault_of(keys_of(fine)).empty());
}

TEST_CASE("a keys file may have so many keys", "[tenants]")
{
    std::string all;
    for (int i = 0; i < 3; ++i)
        all += (i > 0 ? "," : "") + entry("t" + std::to_string(i), to_hex(sha256_of(std::to_string(i))),
                                          R"(["compile", "execute", "sandbox", "deploy", "admin", "keys"])");
    CHECK(fault_of(keys_of(all), {.max_keys = 3}).empty());
    CHECK(fault_of(keys_of(all), {.max_keys = 2}) == "keys has more than 2 items (auth.maxKeys)");
}

TEST_CASE("a keys file is used only if nobody else can have written it", "[tenants]")
{
    const temporary_directory own;
    const auto text = keys_of(entry("a", one_digest));
    const auto file = own / "keys.json";
    const auto said = [](const fs::path& path, const keys_file_limits& limits = {}) {
        const auto loaded = load_keys(path, limits);
        return loaded ? std::string{} : loaded.error().message;
    };
    const auto holds = [](const std::string& message, std::string_view part) {
        INFO(message);
        return message.find(part) != std::string::npos;
    };
    CHECK(holds(said(file), "No such file"));
    for (const mode_t mode : {0400, 0600, 0640, 0644}) {
        put(file, text, mode);
        CAPTURE(mode);
        CHECK(said(file).empty());
    }
    for (const mode_t mode : {0620, 0660, 0602, 0666, 0622}) {
        put(file, text, mode);
        CAPTURE(mode);
        CHECK(holds(said(file), "who could add keys; chmod go-w it"));
    }
    put(file, "{", 0600);
    CHECK(holds(said(file), "keys.json: it is not JSON"));
    put(file, text, 0600);
    CHECK(said(file, {.max_bytes = text.size()}).empty());
    CHECK(holds(said(file, {.max_bytes = text.size() - 1}), "(auth.maxKeysFileKB)"));

    CHECK(holds(said(own.path()), "is not a regular file"));
    REQUIRE(::mkfifo((own / "pipe").c_str(), 0600) == 0);
    CHECK(holds(said(own / "pipe"), "is not a regular file"));

    // As Kubernetes mounts a secret: keys.json → ..data/keys.json, ..data → ..2026.
    fs::create_directory(own / "mount");
    fs::create_directory(own / "mount" / "..2026");
    put(own / "mount" / "..2026" / "keys.json", text);
    fs::create_directory_symlink("..2026", own / "mount" / "..data");
    fs::create_symlink("..data/keys.json", own / "mount" / "keys.json");
    CHECK(said(own / "mount" / "keys.json").empty());
    fs::create_symlink(file, own / "mount" / "out.json");
    CHECK(holds(said(own / "mount" / "out.json"), "leads out of its directory"));
    fs::create_symlink("nothing", own / "mount" / "dangling.json");
    CHECK(holds(said(own / "mount" / "dangling.json"), "No such file"));

    // Whoever may write a directory on the way may replace what is in it.
    fs::create_directories(own / "open" / "inner");
    put(own / "open" / "inner" / "keys.json", text);
    CHECK(said(own / "open" / "inner" / "keys.json").empty());
    REQUIRE(::chmod((own / "open").c_str(), 0777) == 0);
    CHECK(holds(said(own / "open" / "inner" / "keys.json"), "who could replace the keys"));
    REQUIRE(::chmod((own / "open").c_str(), 01777) == 0);
    CHECK(said(own / "open" / "inner" / "keys.json").empty());
    REQUIRE(::chmod((own / "open").c_str(), 0770) == 0);
    CHECK(holds(said(own / "open" / "inner" / "keys.json"), "who could replace the keys"));

    if (is_root()) {
        constexpr uid_t stranger = 65'534;
        REQUIRE(::chown(file.c_str(), stranger, stranger) == 0);
        CHECK(holds(said(file), "belongs to user 65534"));
    }
}

TEST_CASE("a stamp tells a file that was written or replaced", "[tenants]")
{
    const temporary_directory own;
    const auto file = own / "keys.json";
    CHECK_FALSE(stamp_of(file));
    put(file, "one");
    const auto first = stamp_of(file);
    REQUIRE(first);
    CHECK(stamp_of(file) == first);
    // Of the same length and the same time: another inode.
    put(own / "other", "two");
    fs::last_write_time(own / "other", fs::last_write_time(file));
    fs::rename(own / "other", file);
    CHECK(stamp_of(file) != first);
    fs::remove(file);
    CHECK_FALSE(stamp_of(file));
}

TEST_CASE("a key's limits are read by name, and what is left out is no limit", "[tenants]")
{
    const auto all = read_keys(
        keys_of(with_limits(R"({"requestsPerMinute": 1, "concurrentJobs": 2, "cpuSecondsPerDay": 3, "fuelPerDay": 4,
                                "deployments": 5, "keptBytes": 6})")),
        {});
    REQUIRE(all);
    const auto& limits = all->front().limits;
    for (std::size_t i = 0; i < limit_count; ++i)
        CHECK(limits.get(static_cast<limit>(i)) == static_cast<std::int64_t>(i) + 1);
    for (const std::string none : {"{}", R"({"deployments": 9})"}) {
        const auto some = read_keys(keys_of(with_limits(none)), {});
        REQUIRE(some);
        CHECK_FALSE(some->front().limits.get(limit::fuel_per_day));
    }
    // As many keys as there may be, with all that a key may say.
    const keys_file_limits bounds{.max_keys = 200};
    std::string many;
    for (std::size_t i = 0; i < bounds.max_keys; ++i) {
        auto digest = to_hex(sha256_of(std::to_string(i)));
        many += (many.empty() ? "" : ",") + std::string{R"({"name": "t)"} + std::to_string(i) + R"(", "sha256": ")" +
                digest + R"(", "scopes": ["compile", "execute", "sandbox", "deploy", "admin", "keys"], "limits": )" +
                R"({"requestsPerMinute": 1, "concurrentJobs": 2, "cpuSecondsPerDay": 3, "fuelPerDay": 4, )" +
                R"("deployments": 5, "keptBytes": 6}})";
    }
    CHECK(read_keys(R"({"keys": [)" + many + "]}", bounds));
}
