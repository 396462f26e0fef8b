#include "config/config.hpp"

#include "support/legacy_manual.hpp"
#include "support/proc.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace fs = std::filesystem;
namespace json = boost::json;
using namespace sandboxd;
using namespace sandboxd::test;
using config::settings;

namespace {

std::string message_of(std::string_view text)
{
    const auto parsed = config::parse(text);
    if (parsed) return "parsed";
    CHECK(parsed.error().code == errc::invalid_request);
    return parsed.error().message;
}

std::string example() { return text_of(SANDBOXD_SOURCE_DIR "/config.json.example"); }

// The paths of the file's keys, in the file's order; a section is named by what it holds.
std::vector<std::string> keys_of(const json::object& root)
{
    std::vector<std::string> keys;
    for (const auto& [key, value] : root) {
        if (!value.is_object()) {
            keys.emplace_back(key);
            continue;
        }
        for (const auto& member : value.as_object()) keys.push_back(std::string{key} + "." + std::string{member.key()});
    }
    return keys;
}

class in_directory {
public:
    explicit in_directory(const fs::path& where) : back_{fs::current_path()} { fs::current_path(where); }
    ~in_directory() { fs::current_path(back_); }
    in_directory(const in_directory&) = delete;
    in_directory& operator=(const in_directory&) = delete;

private:
    fs::path back_;
};

}  // namespace

TEST_CASE("config.json.example holds every key, in the code's order, with its default", "[config]")
{
    const auto text = example();
    auto keys = config::all_keys();
    CHECK(keys_of(json::parse(text).as_object()) == keys);
    const auto parsed = config::parse(text);
    REQUIRE(parsed.has_value());
    CHECK(*parsed == settings{});

    CHECK(keys.size() > 40);
    std::ranges::sort(keys);
    CHECK(std::ranges::adjacent_find(keys) == keys.end());
}

TEST_CASE("the example of emcc-sandboxd is read, and says what the defaults say", "[config]")
{
    const auto parsed = config::parse(legacy_manual_configuration);
    REQUIRE(parsed.has_value());
    CHECK(*parsed == settings{});
}

TEST_CASE("an empty object is the defaults", "[config]")
{
    REQUIRE(config::parse("{}").has_value());
    CHECK(*config::parse("{}") == settings{});
    CHECK(*config::parse(" \r\n\t{}\n\n") == settings{});
    CHECK(*config::parse("\xef\xbb\xbf{}") == settings{});
    CHECK(*config::parse(R"({"http": {}, "log": {}, "toolchain": {}})") == settings{});
}

TEST_CASE("every key reaches its setting", "[config]")
{
    // Every value of the example is changed, one at a time: the result must differ from the
    // defaults, and only by that.
    const auto root = json::parse(example()).as_object();
    const auto changed = [](const json::value& value, std::string_view path) -> json::value {
        if (value.is_bool()) return !value.as_bool();
        if (path == "faas.maxPackagesMBPerClient") return 1'024;  // 0 stands for another key's half
        if (value.is_int64()) return value.as_int64() + 1;
        if (value.is_double()) return value.as_double() / 2;
        if (path == "telemetry.trustTraceparent") return "everybody";
        if (path == "jail") return "bubblewrap";
        if (path == "perJobCgroup" || path == "compile.warm") return "off";
        if (path == "http.unixSocketMode") return "0600";
        if (path == "log.level") return "error";
        if (path == "log.format") return "json";
        if (path == "faas.baseDomain") return "apps.example";
        if (path == "faas.publicUrl") return "https://other.example";
        if (value.is_string()) return json::string{"/other"};
        if (path == "toolchain.env") return json::object{{"NAME", "value"}};
        if (path == "http.allowedHosts") return json::array{"play.example"};
        if (path.ends_with("CorsOrigins")) return json::array{"https://other.example"};
        return json::array{"/other"};
    };
    const auto check = [](const json::object& altered, std::string_view path) {
        CAPTURE(path);
        const auto parsed = config::parse(json::serialize(altered));
        REQUIRE(parsed.has_value());
        CHECK(*parsed != settings{});
    };
    std::size_t tried = 0;
    for (const auto& [key, value] : root) {
        if (!value.is_object()) {
            auto altered = root;
            altered[key] = changed(value, key);
            check(altered, key);
            ++tried;
            continue;
        }
        for (const auto& [inner_key, inner] : value.as_object()) {
            const auto path = std::string{key} + "." + std::string{inner_key};
            auto altered = root;
            altered[key].as_object()[inner_key] = changed(inner, path);
            check(altered, path);
            ++tried;
        }
    }
    CHECK(tried > 40);
}

TEST_CASE("every key refuses the wrong type by its path", "[config]")
{
    const auto root = json::parse(example()).as_object();
    const auto check = [](const json::object& altered, const std::string& path) {
        const auto message = message_of(json::serialize(altered));
        CAPTURE(path, message);
        CHECK(message.starts_with(path + " must be "));
        CHECK(message.find(", not null") != std::string::npos);
    };
    for (const auto& [key, value] : root) {
        auto altered = root;
        altered[key] = nullptr;
        check(altered, std::string{key});
        if (!value.is_object()) continue;
        for (const auto& member : value.as_object()) {
            auto inner = root;
            inner[key].as_object()[member.key()] = nullptr;
            check(inner, std::string{key} + "." + std::string{member.key()});
        }
    }
}

TEST_CASE("an error names the key's path and the cure", "[config]")
{
    struct row {
        const char* given;
        const char* expected;
    };
    const row rows[] = {
        // Wrong types.
        {R"({"addr": 8080})", "addr must be a string, not an integer"},
        {R"({"enableStaticArtifacts": "yes"})", "enableStaticArtifacts must be true or false, not a string"},
        {R"({"artifactTTLDays": "3"})", "artifactTTLDays must be an integer, not a string"},
        {R"({"artifactTTLDays": 0.5})", "artifactTTLDays must be an integer, not a number with a fraction"},
        {R"({"defaultArgs": "-O2"})", "defaultArgs must be an array, not a string"},
        {R"({"defaultArgs": ["-O2", 3]})", "defaultArgs[1] must be a string, not an integer"},
        {R"({"http": []})", "http must be an object, not an array"},
        {R"({"http": {"maxConnections": true}})", "http.maxConnections must be an integer, not a boolean"},
        {R"({"toolchain": {"env": {"A": 1}}})", "toolchain.env.A must be a string, not an integer"},
        {R"({"toolchain": {"env": []}})", "toolchain.env must be an object, not an array"},
        {R"({"toolchain": {"mounts": [null]}})", "toolchain.mounts[0] must be a string, not null"},
        // Out of range.
        {R"({"artifactTTLDays": -1})", "artifactTTLDays must be between 0 and 36500"},
        {R"({"cleanupIntervalMins": 0})", "cleanupIntervalMins must be between 1 and 10080"},
        {R"({"jailUid": 0})", "jailUid must be between 1 and 4294967294"},
        {R"({"compileTimeoutSecs": 0})", "compileTimeoutSecs must be between 1 and 604800"},
        {R"({"jobMemoryEstimateMB": 0})", "jobMemoryEstimateMB must be between 1 and 1048576"},
        {R"({"http": {"maxConnections": 0}})", "http.maxConnections must be between 1 and 1000000"},
        {R"({"http": {"maxHeaderFields": 15}})", "http.maxHeaderFields must be between 16 and 10000"},
        {R"({"http": {"maxHeaderBytes": 10}})", "http.maxHeaderBytes must be between 1024 and 1048576"},
        {R"({"compile": {"maxFiles": 99999999999999999999}})", "compile.maxFiles must be between 1 and 10000"},
        {R"({"jobLimits": {"tmpMB": 0}})", "jobLimits.tmpMB must be between 1 and 1048576"},
        // Not one of the words.
        {R"({"jail": "chroot"})",
         "jail is 'chroot'; it must be one of 'auto', 'bubblewrap', 'namespaces', 'nsjail', 'oci', 'docker', 'none'"},
        {R"({"log": {"level": "loud"}})",
         "log.level is 'loud'; it must be one of 'debug', 'info', 'warning', 'warn', 'error'"},
        {R"({"log": {"format": "xml"}})", "log.format is 'xml'; it must be one of 'text', 'json'"},
        // Unknown.
        {R"({"jali": "auto"})",
         "jali is not a known key; did you mean jail? See config.json.example for the known keys"},
        {R"({"http.maxConnections": 1})",
         "http.maxConnections is not a known key; write maxConnections in the object http"},
        {R"({"faas": {"publicUrl": "https://x.example/a?b=1"}})",
         "faas.publicUrl must have no query, no fragment and no blank"},
        {R"({"faas": {"publicUrl": "https://x.example/a b"}})",
         "faas.publicUrl must have no query, no fragment and no blank"},
        {R"({"faas": {"publicUrl": "https://x.example /a"}})", "faas.publicUrl must have a host"},
        {R"({"adr": ":80"})", "adr is not a known key; did you mean addr? See config.json.example for the known keys"},
        {R"({"Addr": ":80"})",
         "Addr is not a known key; did you mean addr? See config.json.example for the known keys"},
        {R"({"http": {"maxConnection": 1}})",
         "http.maxConnection is not a known key; did you mean http.maxConnections? See config.json.example for the known keys"},
        {R"({"maxConnections": 1})",
         "maxConnections is not a known key; did you mean http.maxConnections? See config.json.example for the known keys"},
        {R"({"sandbox": {}})", "sandbox is not a known key; did you mean sandboxes? "},
        {R"({"htp": {}})", "htp is not a known key; did you mean http? "},
        {R"({"proxys": {}})", "proxys is not a known key; did you mean proxy? "},
        {R"({"asyncjobs": {}})", "asyncjobs is not a known key; did you mean asyncJobs? "},
        {R"({"Js": {}})", "Js is not a known key; did you mean js? "},
        {R"({"nope": 1})", "nope is not a known key; see config.json.example"},
        {R"({"completely": 1})", "completely is not a known key; see config.json.example for the known keys"},
        {R"({"jobLimits": {"": 1}})", "jobLimits. is not a known key; see config.json.example for the known keys"},
        // What does not go together.
        {R"({"jobsDir": ""})", "jobsDir must not be empty"},
        {R"({"artifactsDir": ""})", "artifactsDir must not be empty"},
        {R"({"jobsDir": "x", "artifactsDir": "x"})", "artifactsDir must not be the same directory as jobsDir"},
        {R"({"jobsDir": "x/", "artifactsDir": "./y/../x"})", "artifactsDir must not be the same directory as jobsDir"},
        {R"({"jobsDir": "x/jobs", "artifactsDir": "x"})", "artifactsDir must not hold jobsDir"},
        {R"({"jobsDir": "x/../a/b/c/", "artifactsDir": "a"})", "artifactsDir must not hold jobsDir"},
        {R"({"jobsDir": "x", "artifactsDir": "x/y/z"})", "artifactsDir must not lie within jobsDir"},
        {R"({"jobsDir": ".", "artifactsDir": "x"})", "artifactsDir must not lie within jobsDir"},
        {R"({"nsjailEnabled": true, "jail": "bubblewrap"})",
         "nsjailEnabled contradicts jail 'bubblewrap'; leave one of the two out"},
        {R"({"nsjailEnabled": true, "jail": "none"})",
         "nsjailEnabled contradicts jail 'none'; leave one of the two out"},
        {R"({"toolchain": {"emcc": "emcc"}})",
         "toolchain.emcc must be an absolute path, or empty to search toolchain.path"},
        {R"({"toolchain": {"mounts": ["opt"]}})", "toolchain.mounts must hold absolute paths below /, not 'opt'"},
        {R"({"toolchain": {"mounts": ["/opt", "/"]}})", "toolchain.mounts must hold absolute paths below /, not '/'"},
        {R"({"js": {"fuel": 30000000000}})", "js.fuel must not be more than js.maxFuel"},
        {R"({"js": {"memoryLimitBytes": 200000000}})",
         "js.memoryLimitBytes must not be more than js.maxMemoryLimitBytes"},
        {R"({"js": {"timeoutMs": 10001}})", "js.timeoutMs must not be more than js.maxTimeoutMs"},
        {R"({"js": {"workerPath": "sandboxd-js"}})",
         "js.workerPath must be an absolute path, or empty for the sandboxd-js next to this program"},
        {R"({"js": {"maxMemoryLimitBytes": 268435456}})",
         "js.workerMemoryMB must be at least three times js.maxMemoryLimitBytes, 768"},
        {R"({"store": {"maxRemoteFetches": 8}})",
         "store.maxRemoteFetchesPerClient must not be more than store.maxRemoteFetches"},
        {R"({"store": {"remoteTimeoutMs": 0}})", "store.remoteTimeoutMs must be between 10 and 60000"},
        {R"({"store": {"remoteMinKBPerSec": 0}})", "store.remoteMinKBPerSec must be between 1 and 1000000"},
        {R"({"store": {"remote": "http://x", "maxRemoteFetchMB": 127}})",
         "store.maxRemoteFetchMB must be at least compile.maxArtifactsMB, 128"},
        {R"({"store": {"remote": "http://x", "maxRemoteQueueMB": 1}})",
         "store.maxRemoteQueueMB must be at least compile.maxArtifactsMB, 128"},
        {R"({"store": {"remote": "http://x"}, "artifacts": {"maxTotalMB": 100}})",
         "artifacts.maxTotalMB must be at least compile.maxArtifactsMB, 128"},
        {R"({"store": {"remote": "http://x"}, "compile": {"maxArtifactsMB": 600}})",
         "store.maxRemoteFetchMB must be at least compile.maxArtifactsMB, 600"},
        {R"({"store": {"remote": "http://x"}, "cluster": {"redis": "redis://x"}, "faas": {"maxFileBytes": 268435457}})",
         "store.maxRemoteFetchMB must have room for a deployment, which may have twice as much as faas.maxFileBytes: "
         "536870914 bytes"},
        {R"({"cluster": {"redisTimeoutMs": 9}})", "cluster.redisTimeoutMs must be between 10 and 60000"},
        {R"({"cluster": {"redisTimeoutMs": 4000}})",
         "cluster.leaseSecs must be at least three times cluster.redisTimeoutMs"},
        {R"({"cluster": {"keyPrefix": "a b"}})", "cluster.keyPrefix must be at most 128 characters of ASCII"},
        {R"({"telemetry": {"sampleRatio": 1.5}})", "telemetry.sampleRatio must be between 0 and 1"},
        {R"({"telemetry": {"sampleRatio": -1}})", "telemetry.sampleRatio must be between 0 and 1"},
        {R"({"telemetry": {"sampleRatio": "1"}})", "telemetry.sampleRatio must be a number, not a string"},
        {R"({"telemetry": {"trustTraceparent": "me"}})",
         "telemetry.trustTraceparent is 'me'; it must be one of 'nobody', 'keys', 'everybody'"},
        {R"({"telemetry": {"serviceName": ""}})", "telemetry.serviceName must be a name of 1 to 128 bytes"},
        {R"({"telemetry": {"maxBatchKB": 2048}})", "telemetry.maxBatchKB must not be more than telemetry.maxQueuedKB"},
        {R"({"telemetry": {"maxSpansPerSec": 0}})", "telemetry.maxSpansPerSec must be between 1 and 1000000"},
        {R"({"cluster": {"compileWaitMs": -1}})", "cluster.compileWaitMs must be between 0 and 600000"},
        {R"({"cluster": {"maxRevisions": 0}})", "cluster.maxRevisions must be between 1"},
        {R"({"cluster": {"maxInstances": 0}})", "cluster.maxInstances must be between 1 and 1000"},
        {R"({"cluster": {"deletedDays": 0}})", "cluster.deletedDays must be between 1 and 3650"},
        {R"({"cluster": {"maxKnownPlaces": 0}})", "cluster.maxKnownPlaces must be between 1"},
        {R"({"cluster": {"peerTimeoutMs": 1}})", "cluster.peerTimeoutMs must be between 10 and 60000"},
        {R"({"faas": {"scaleUpRequests": -1}})", "faas.scaleUpRequests must be between 0 and 1000000"},
        {R"({"faas": {"seatIdleSecs": 0}})", "faas.seatIdleSecs must be between 1"},
        {R"({"faas": {"memoryMB": 2048}})", "faas.memoryMB must not be more than faas.maxMemoryMB"},
        {R"({"faas": {"maxInstallFiles": 0}})", "faas.maxInstallFiles must be between 1 and 1000000"},
        {R"({"faas": {"maxInstallMB": 8192}})", "faas.maxInstallMB must not be more than faas.maxPackagesMB"},
        {R"({"faas": {"maxPackagesMBPerClient": 511}})",
         "faas.maxInstallMB must not be more than faas.maxPackagesMBPerClient"},
        {R"({"faas": {"publicUrl": "http://:80"}})", "faas.publicUrl must have a host, and a port of at most 65535"},
        {R"({"faas": {"publicUrl": "http://h:99999/a"}})", "faas.publicUrl must have a host"},
        {R"({"faas": {"publicUrl": "http://u@h"}})", "faas.publicUrl must have a host"},
        {R"({"faas": {"publicUrl": "http://?a"}})", "faas.publicUrl must have a host"},
        {R"({"faas": {"baseDomain": "a..b"}})", "faas.baseDomain must be a domain"},
        {R"({"faas": {"baseDomain": "-"}})", "faas.baseDomain must be a domain"},
        {R"({"faas": {"baseDomain": "x-.a"}})", "faas.baseDomain must be a domain"},
        {R"({"faas": {"baseDomain": "-x.a"}})", "faas.baseDomain must be a domain"},
        {R"({"faas": {"baseDomain": "a."}})", "faas.baseDomain must be a domain"},
        {R"({"faas": {"baseDomain": "127.0.0.1"}})", "faas.baseDomain must be a domain"},
        {R"({"faas": {"publicUrl": "example.com"}})",
         "faas.publicUrl must begin with http:// or https:// and not end with a slash"},
        {R"({"runtimes": {"bun": "bun"}})", "runtimes.bun must be an absolute path, or empty"},
        // No object at all.
        {"[]", "the file must hold a JSON object, not an array"},
        {"null", "the file must hold a JSON object, not null"},
        {"\"addr\"", "the file must hold a JSON object, not a string"},
        {"7", "the file must hold a JSON object, not an integer"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.given);
        const auto message = message_of(row.given);
        CAPTURE(message);
        CHECK(message.starts_with(row.expected));
    }
}

TEST_CASE("what is no JSON is named with line and column", "[config]")
{
    struct row {
        std::string given;
        const char* place;
    };
    const row rows[] = {
        {"", "line 1, column 1: "},
        {"nope", "line 1, column "},
        {"{\n  \"addr\": :8080\n}", "line 2, column 11: "},
        {"{\n  \"addr\": \":8080\",\n}", "line 3, column 1: "},
        {"{\n  \"addr\": \":8080\"\n  \"jail\": \"auto\"\n}", "line 3, column 3: "},
        {"{\r\n  // no comments\r\n}", "line 2, column 3: "},
        {"{", "line 1, column 2: "},
        {"{}\n{}", "line 2, column 1: "},
        {"{}\n\n  x", "line 3, column 3: "},
        {"{\"addr\": \"\xff\"}", "line 1, column "},
        {"{'addr': ':80'}", "line 1, column 2: "},
        {std::string(100, '['), "line 1, column "},
    };
    for (const auto& row : rows) {
        const auto message = message_of(row.given);
        CAPTURE(row.given, message);
        CHECK(message.starts_with(row.place));
        CHECK(message.find("not JSON (") != std::string::npos);
    }
}

TEST_CASE("relative paths resolve from workingDir and baseDir", "[config]")
{
    const auto here = fs::current_path().lexically_normal();
    struct row {
        const char* working_dir;
        const char* base_dir;
        const char* jobs_dir;
        fs::path working;
        fs::path jobs;
    };
    const row rows[] = {
        {"/srv/emcc-sandboxd", ".", "jobs", "/srv/emcc-sandboxd", "/srv/emcc-sandboxd/jobs"},
        {"/srv/x/", "data", "jobs", "/srv/x", "/srv/x/data/jobs"},
        {"/srv/x", "/data", "jobs", "/srv/x", "/data/jobs"},
        {"/srv/x", "/data", "/run/jobs", "/srv/x", "/run/jobs"},
        {"/srv/x", ".", "../jobs/", "/srv/x", "/srv/jobs"},
        {"/srv/x", "", "jobs", "/srv/x", "/srv/x/jobs"},
        {"", ".", "jobs", here, here / "jobs"},
        {".", ".", "jobs", here, here / "jobs"},
        {"sub", ".", "jobs", here / "sub", here / "sub/jobs"},
        {"/", ".", "jobs", "/", "/jobs"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.working_dir, row.base_dir, row.jobs_dir);
        settings s;
        s.working_dir = row.working_dir;
        s.base_dir = row.base_dir;
        s.jobs_dir = row.jobs_dir;
        CHECK(s.working_path() == row.working);
        CHECK(s.jobs_path() == row.jobs);
        s.artifacts_dir = row.jobs_dir;
        CHECK(s.artifacts_path() == row.jobs);
        s.cgroup_v2_root = "cgroup";
        CHECK(s.cgroup_path() == row.working / "cgroup");
        s.cgroup_v2_root = "/sys/fs/cgroup/x";
        CHECK(s.cgroup_path() == "/sys/fs/cgroup/x");
    }
}

TEST_CASE("the current directory is asked for when it is needed", "[config]")
{
    const temporary_directory elsewhere;
    settings s;
    s.working_dir = "";
    const in_directory there{elsewhere.path()};
    CHECK(s.working_path() == fs::current_path());
}

TEST_CASE("nsjailEnabled stands for the jail nsjail", "[config]")
{
    CHECK(settings{}.wanted_jail() == "auto");
    CHECK(config::parse(R"({"nsjailEnabled": true})")->wanted_jail() == "nsjail");
    CHECK(config::parse(R"({"nsjailEnabled": true, "jail": "nsjail"})")->wanted_jail() == "nsjail");
    CHECK(config::parse(R"({"jail": "bubblewrap"})")->wanted_jail() == "bubblewrap");
}

TEST_CASE("values are read as they are", "[config]")
{
    const auto parsed = config::parse(
        R"({"artifactTTLDays": 0, "defaultArgs": [], "log": {"level": "debug", "format": "json"},
            "toolchain": {"emcc": "/opt/emsdk/emcc", "mounts": ["/opt/emsdk"], "env": {"B": "2", "A": ""}},
            "http": {"artifactCorsOrigins": [], "apiCorsOrigins": ["https://a"]}})");
    REQUIRE(parsed.has_value());
    CHECK(parsed->artifact_ttl_days == 0);
    CHECK(parsed->default_args.empty());
    CHECK(parsed->log.level == "debug");
    CHECK(parsed->log.format == "json");
    CHECK(parsed->toolchain.emcc == "/opt/emsdk/emcc");
    CHECK(parsed->toolchain.mounts == std::vector<std::string>{"/opt/emsdk"});
    CHECK(parsed->toolchain.env == std::vector<std::pair<std::string, std::string>>{{"B", "2"}, {"A", ""}});
    CHECK(parsed->http.artifact_cors_origins.empty());
    CHECK(parsed->http.api_cors_origins == std::vector<std::string>{"https://a"});
}

TEST_CASE("a file's errors begin with its name", "[config]")
{
    const temporary_directory dir;
    const auto file = dir / "config.json";
    std::ofstream{file} << "{\n  \"adr\": 1\n}\n";
    settings into;
    auto found = config::read_file(file, into);
    CHECK(found.readable);
    CHECK(found.problems ==
          std::vector{file.native() +
                      ": adr is not a known key; did you mean addr? See config.json.example for the known keys"});

    std::ofstream{file} << "{\n  \"addr\": \"unix:/x\"\n}\n";
    found = config::read_file(file, into);
    CHECK(found.problems.empty());
    CHECK_FALSE(found.format.has_value());
    CHECK(into.addr == "unix:/x");

    std::ofstream{file} << "";
    found = config::read_file(file, into);
    REQUIRE(found.problems.size() == 1);
    CHECK_FALSE(found.readable);
    CHECK(found.problems.front().starts_with(file.native() + ": line 1, column 1: not JSON ("));
}

TEST_CASE("everything that is wrong is told, and what is right is read", "[config]")
{
    const auto problems_of = [](std::string_view text) {
        settings into;
        return config::read_into(into, text).problems;
    };
    const auto four = problems_of(R"({"addr2": 1, "http": {"x": 1}, "log": {"level": "verbose"}, "jail": "firejail"})");
    REQUIRE(four.size() == 4);
    CHECK(four[0].starts_with("jail is 'firejail'"));
    CHECK(four[1].starts_with("http.x is not a known key"));
    CHECK(four[2].starts_with("log.level is 'verbose'"));
    CHECK(four[3].starts_with("addr2 is not a known key; did you mean addr?"));

    // A value that is wrong itself is no measure for others.
    CHECK(problems_of(R"({"js": {"maxFuel": "much", "fuel": 30000000000}})") ==
          std::vector<std::string>{"js.maxFuel must be an integer, not a string"});
    CHECK(problems_of(R"({"jobsDir": 1, "artifactsDir": "jobs"})") ==
          std::vector<std::string>{"jobsDir must be a string, not an integer"});
    CHECK(problems_of(R"({"sandboxes": {"timeoutMs": 0, "memoryMB": 2000}, "jailUid": 0})") ==
          std::vector<std::string>{"jailUid must be between 1 and 4294967294",
                                   "sandboxes.timeoutMs must be between 1 and 604800000",
                                   "sandboxes.memoryMB must not be more than sandboxes.maxMemoryMB"});
    CHECK(problems_of(R"({"toolchain": {"env": {"A=B": "1", "": "2", "C": 3}}})").size() == 3);
    std::string many = "{";
    for (int i = 0; i < 1000; ++i) many += (i > 0 ? ", \"key" : "\"key") + std::to_string(i) + "\": 1";
    CHECK(problems_of(many + "}").size() < 100);

    settings into;
    const auto found = config::read_into(into, R"({"jail": 1, "addr": ":1", "http": {"maxConnections": 7, "x": 1}})");
    CHECK(found.readable);
    CHECK(into.addr == ":1");
    CHECK(into.http.max_connections == 7);
}

TEST_CASE("the format of the log is known wherever it can be read", "[config]")
{
    const auto format_of = [](std::string_view text) {
        settings into;
        return config::read_into(into, text).format;
    };
    CHECK(format_of(R"({"adr": 1, "log": {"format": "json"}})") == log::format::json);
    CHECK(format_of(R"({"log": {"level": "loud", "format": "JSON"}, "addr": ":1",})") == log::format::json);
    CHECK(format_of(R"({"log": {"format": "text"}, "log": {}})") == log::format::text);
    CHECK(format_of(R"({"addr": ":1", "log": {"format": "json"} // more)") == log::format::json);
    CHECK_FALSE(format_of(R"({"log": {"format": "xml"}})").has_value());
    CHECK_FALSE(format_of(R"({"format": "json", "http": {"log": {"format": "json"}}})").has_value());
    CHECK_FALSE(format_of("{").has_value());

    const temporary_directory dir;
    settings into;
    for (const auto* name : {"config.toml", "config.TOML"}) {
        std::ofstream{dir / name} << "[server]\nport = oops\n[logging]\nformat = \"json\"\n";
        const auto found = config::read_file(dir / name, into);
        CHECK(found.format == log::format::json);
        CHECK_FALSE(found.readable);
        REQUIRE(found.problems.size() == 1);
        CHECK(found.problems.front().starts_with((dir / name).native() + ": line 2, column "));
        CHECK(found.problems.front().find("not TOML") != std::string::npos);
    }
}

TEST_CASE("an origin becomes what a browser sends, or is refused with the cure", "[config]")
{
    const std::pair<const char*, const char*> same[] = {
        {"*", "*"},
        {"https://play.example", "https://play.example"},
        {"HTTPS://A.example", "https://a.example"},
        {"https://b.example:443", "https://b.example"},
        {"http://b.example:80", "http://b.example"},
        {"http://b.example:443", "http://b.example:443"},
        {"https://b.example:08443", "https://b.example:8443"},
        {"http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000"},
        {"http://[::1]", "http://[::1]"},
        {"chrome-extension://abcdefgh", "chrome-extension://abcdefgh"},
    };
    for (const auto& [given, sent] : same) {
        CAPTURE(given);
        const auto parsed =
            config::parse(json::serialize(json::object{{"http", {{"apiCorsOrigins", json::array{given}}}}}));
        REQUIRE(parsed.has_value());
        CHECK(parsed->http.api_cors_origins == std::vector<std::string>{sent});
    }
    const std::pair<const char*, const char*> wrong[] = {
        {"https://a.example/", "such as 'https://a.example'"},
        {"A.example:443", "such as 'https://a.example'"},
        {"https://*.example.com", "list each host, or '*' for all"},
        {"null", "the origin of every sandboxed frame"},
        {"https://a.example:99999", "which is not an origin"},
        {"https://a.example:", "which is not an origin"},
        {"https://a b.example", "which is not an origin"},
        {"https://user@a.example", "which is not an origin"},
        {"https://[::1", "which is not an origin"},
        {"https://[::1]x", "which is not an origin"},
        {"://a.example", "which is not an origin"},
        {"", "which is not an origin"},
    };
    for (const auto& [given, cure] : wrong) {
        CAPTURE(given);
        const auto message =
            message_of(json::serialize(json::object{{"http", {{"artifactCorsOrigins", json::array{given}}}}}));
        CAPTURE(message);
        CHECK(message.starts_with("http.artifactCorsOrigins holds '"));
        CHECK(message.find(cure) != std::string::npos);
    }
    for (const auto* host : {"play.example", "*.play.example", "[::1]", "*", "127.0.0.1"}) {
        CAPTURE(host);
        CHECK(message_of(json::serialize(json::object{{"http", {{"allowedHosts", json::array{host}}}}})) == "parsed");
    }
    for (const auto* host : {"a*b", "*.", "*.*", "**", "*.a*", "", "a:80", "https://a", "*..a"}) {
        CAPTURE(host);
        CHECK(message_of(json::serialize(json::object{{"http", {{"allowedHosts", json::array{host}}}}}))
                  .starts_with("http.allowedHosts holds '"));
    }
}

TEST_CASE("a jail by another name is told the one that is meant", "[config]")
{
    const std::pair<const char*, const char*> rows[] = {
        {"bwrap", "; for bwrap choose 'bubblewrap'"},
        {"crun", "; crun is a runtime of 'oci'"},
        {"runc", "; runc is a runtime of 'oci'"},
        {"runsc", "; runsc is a runtime of 'oci'"},
        {"gvisor", "; choose 'oci' and set ociRuntimePath to the path of runsc"},
        {"Docker", "; did you mean 'docker'?"},
        {"bublewrap", "; did you mean 'bubblewrap'?"},
        {"BWRAP", "; for bwrap choose 'bubblewrap'"}};
    for (const auto& [given, cure] : rows) {
        CAPTURE(given);
        const auto checked = config::check_jail(given);
        REQUIRE(checked.has_error());
        CHECK(checked.error().message.find(cure) != std::string::npos);
    }
    CHECK(config::check_jail("chroot").error().message.ends_with("'docker', 'none'"));
}

TEST_CASE("a file that cannot be read is an error that says why", "[config]")
{
    const temporary_directory dir;
    settings into;
    const auto missing = config::read_file(dir / "none.json", into);
    CHECK_FALSE(missing.readable);
    CHECK(missing.problems ==
          std::vector{(dir / "none.json").native() + ": cannot be read: No such file or directory"});

    const auto directory = config::read_file(dir.path(), into);
    CHECK(directory.problems == std::vector{dir.path().native() + ": cannot be read: Is a directory"});
}

TEST_CASE("log levels and formats by name", "[config]")
{
    CHECK(config::parse_level("debug").value() == log::level::debug);
    CHECK(config::parse_level("info").value() == log::level::info);
    CHECK(config::parse_level("warning").value() == log::level::warning);
    CHECK(config::parse_level("warn").value() == log::level::warning);
    CHECK(config::parse_level("error").value() == log::level::error);
    CHECK(config::parse_level("WARN").value() == log::level::warning);
    CHECK(config::parse_level("Trace").value() == log::level::debug);
    CHECK(config::parse(R"({"log": {"level": "TRACE", "format": "Json"}})")->log ==
          config::log_section{.level = "debug", .format = "json"});
    CHECK(config::parse_format("text").value() == log::format::text);
    CHECK(config::parse_format("json").value() == log::format::json);
    for (const auto* bad : {"", "loud", " info"}) {
        CAPTURE(bad);
        REQUIRE(config::parse_level(bad).has_error());
        CHECK(config::parse_level(bad).error().message ==
              "'" + std::string{bad} + "' is not a log level; use debug, info, warning or error");
        REQUIRE(config::parse_format(bad).has_error());
        CHECK(config::parse_format(bad).error().message ==
              "'" + std::string{bad} + "' is not a log format; use text or json");
    }
}

TEST_CASE("a key that comes twice is named with its second place", "[config]")
{
    const std::pair<const char*, const char*> rows[] = {
        {"{\"port\": 1,\n \"port\": 2}", "line 2, column 7: port comes twice; keep one of them"},
        {"{\"port\": 1, \"po\\u0072t\": 1}", "column 23: port comes twice"},
        {"{\"http\": {\"idleTimeoutSecs\": 5, \"maxHeaderBytes\": 8192, \"idleTimeoutSecs\": 5}}",
         "http.idleTimeoutSecs comes twice"},
        {"{\"http\": {}, \"log\": {}, \"http\": {}}", "http comes twice"},
        // Told before what else is wrong with it.
        {"{\"nobody\": 1, \"nobody\": 1}", "nobody comes twice"},
    };
    for (const auto& [text, told] : rows) {
        CAPTURE(text);
        const auto message = message_of(text);
        CAPTURE(message);
        CHECK(message.find(told) != std::string::npos);
    }
    config::settings into;
    const auto all =
        config::read_into(into, "{\"addr\": \":1\", \"addr\": \":2\", \"http\": {}, \"http\": {}, \"js\": {}}");
    REQUIRE(all.problems.size() == 2);
    CHECK(all.problems[0].find("addr comes twice") != std::string::npos);
    CHECK(all.problems[1].find("http comes twice") != std::string::npos);
    CHECK(message_of("{\"http\": {\"idleTimeoutSecs\": 5}, \"proxy\": {\"idleTimeoutSecs\": 5}}") == "parsed");
}

TEST_CASE("the keys that are numbers are told with their values", "[config]")
{
    config::settings settings;
    settings.http.max_body_bytes = 77;
    settings.queue_timeout_secs = 5;
    const auto all = config::numbers_of(settings);
    const auto has = [&all](const std::string& key, std::int64_t value) {
        return std::ranges::find(all, std::pair{key, value}) != all.end();
    };
    CHECK(has("http.maxBodyBytes", 77));
    CHECK(has("queueTimeoutSecs", 5));
    CHECK(has("js.fuel", settings.js.fuel));
    // Neither texts nor switches.
    CHECK(std::ranges::none_of(all, [](const auto& one) { return one.first == "addr" || one.first == "js.enabled"; }));
}
