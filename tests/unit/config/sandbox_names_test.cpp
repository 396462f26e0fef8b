#include "config/sandbox_names.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <map>
#include <string>

using namespace sandboxd;
using config::settings;

namespace {

// The example of the manual, with another backend, which not every machine has.
constexpr const char* example = R"([server]
host = "0.0.0.0"
port = 8070

[sandbox]
backend = "nsjail"  # or "docker"
default_timeout_ms = 30000
default_memory_limit_mb = 512
max_concurrent_sandboxes = 10
cleanup_interval_seconds = 300

[logging]
level = "info"
format = "json"
)";

result<settings> with(const std::map<std::string, std::string>& environment, settings before = {})
{
    const auto applied = config::apply_environment(before, [&environment](const char* name) -> const char* {
        const auto found = environment.find(name);
        return found == environment.end() ? nullptr : found->second.c_str();
    });
    if (!applied.empty()) return invalid_request(applied.front());
    return before;
}

}  // namespace

TEST_CASE("the manual's TOML file says what it says there", "[config]")
{
    const auto read = config::parse_toml(example);
    REQUIRE(read.has_value());
    settings expected;
    expected.addr = "0.0.0.0:8070";
    expected.jail = "nsjail";
    expected.log.format = "json";
    expected.written_as = read->written_as;
    CHECK(*read == expected);
    CHECK(read->as_written("jail") == "sandbox.backend");
    CHECK(read->as_written("log.format") == "logging.format");
    CHECK(read->as_written("jobsDir") == "jobsDir");
    CHECK(config::parse_toml("").value() == settings{});

    const auto other = config::parse_toml(R"(
        server = {host = "::1"}
        sandbox = {default_timeout_ms = 900000, default_memory_limit_mb = 4096, max_concurrent_sandboxes = 3, cleanup_interval_seconds = 7}
        logging.level = "warn")");
    REQUIRE(other.has_value());
    CHECK(other->addr == "[::1]:8080");
    CHECK(other->sandboxes.timeout_ms == 900'000);
    CHECK(other->sandboxes.max_timeout_ms == 900'000);
    CHECK(other->sandboxes.memory_mb == 4096);
    CHECK(other->sandboxes.max_memory_mb == 4096);
    CHECK(other->sandboxes.max_concurrent_sandboxes == 3);
    CHECK(other->sandboxes.cleanup_interval_secs == 7);
    CHECK(other->log.level == "warning");
}

TEST_CASE("what is wrong in a TOML file is told by line, column and key", "[config]")
{
    struct row {
        const char* text;
        const char* message;
    };
    const row rows[] = {
        {"[server]\nport = \"x\"",
         "line 2, column 8: server.port must be a whole number from 0 to 65535, not of type string"},
        {"[server]\nport = 70000", "line 2, column 8: server.port must be a whole number from 0 to 65535, not 70000"},
        {"[server]\nhost = 3", "server.host must be a string, not of type integer"},
        {"[server]\nhost = \"a b\"", "server.host: 'a b' is not a host"},
        {"[server]\nprot = 1", "server.prot is not known; [server] has host, port"},
        {"[sandboxes]\nx = 1", "sandboxes is not a known section; there are [server], [sandbox] and [logging]"},
        {"sandbox = 1", "sandbox must be a section"},
        {"workingDir = \"/srv\"", "[logging] (every other key needs a file of JSON, see config.json.example)"},
        {"[sandbox]\nbackend = \"chroot\"", "sandbox.backend: is 'chroot'; it must be one of"},
        {"[sandbox]\ndefault_timeout_ms = 0", "sandbox.default_timeout_ms must be a whole number from 1 to "},
        {"[logging]\nlevel = \"loud\"", "logging.level: 'loud' is not a log level"},
        {"[logging]\nformat = \"xml\"", "logging.format: 'xml' is not a log format"},
        {"[server\nport = 1", "line 1, column "},
    };
    for (const auto& one : rows) {
        CAPTURE(one.text);
        const auto read = config::parse_toml(one.text);
        REQUIRE(read.has_error());
        CHECK(read.error().code == errc::invalid_request);
        INFO(read.error().message);
        CHECK(read.error().message.starts_with("line "));
        CHECK(read.error().message.find(one.message) != std::string::npos);
    }
}

TEST_CASE("the environment goes over the file", "[config]")
{
    CHECK(with({}).value() == settings{});
    CHECK(with({{"SANDBOX_PORT", ""}, {"OTHER", "x"}}).value() == settings{});
    CHECK(with({{"SANDBOX_HOST", "127.0.0.1"}}).value().addr == "127.0.0.1:8080");
    CHECK(with({{"SANDBOX_PORT", "8070"}}).value().addr == ":8070");
    settings before;
    before.addr = "[::1]:1";
    CHECK(with({{"SANDBOX_PORT", "8070"}}, before).value().addr == "[::1]:8070");
    before.addr = "unix:/run/x";
    CHECK(with({{"SANDBOX_HOST", "::1"}}, before).value().addr == "[::1]:8080");
    before.jail = "none";
    before.nsjail_enabled = true;
    const auto all = with({{"SANDBOX_BACKEND", "bubblewrap"},
                           {"SANDBOX_TIMEOUT_MS", "1"},
                           {"SANDBOX_MEMORY_LIMIT_MB", "9"},
                           {"LOG_LEVEL", "debug"},
                           {"LOG_FORMAT", "json"}},
                          before);
    REQUIRE(all.has_value());
    CHECK(all->wanted_jail() == "bubblewrap");
    CHECK(all->sandboxes.timeout_ms == 1);
    CHECK(all->sandboxes.memory_mb == 9);
    CHECK(all->log.level == "debug");
    CHECK(all->log.format == "json");
}

TEST_CASE("a variable that cannot be is named", "[config]")
{
    const std::pair<const char*, const char*> rows[] = {
        {"SANDBOX_PORT", "abc"},     {"SANDBOX_PORT", "80x"},       {"SANDBOX_PORT", "-1"},
        {"SANDBOX_PORT", "65536"},   {"SANDBOX_HOST", "a/b"},       {"SANDBOX_BACKEND", "vm"},
        {"SANDBOX_TIMEOUT_MS", "0"}, {"SANDBOX_TIMEOUT_MS", "1e3"}, {"SANDBOX_MEMORY_LIMIT_MB", "99999999999999999999"},
        {"LOG_LEVEL", "chatty"},     {"LOG_FORMAT", "xml"},
    };
    for (const auto& [name, value] : rows) {
        CAPTURE(name, value);
        const auto refused = with({{name, value}});
        REQUIRE(refused.has_error());
        CHECK(refused.error().code == errc::invalid_request);
        CHECK(refused.error().message.starts_with(std::string{name} + ": "));
        CHECK(refused.error().message.find('\n') == std::string::npos);
        CHECK(refused.error().message.find(value) != std::string::npos);
    }
}

TEST_CASE("all that is wrong in a TOML file or the environment is told, by line", "[config]")
{
    settings into;
    const auto found = config::parse_toml_into(into, R"([server]
port = -1
[sandbox]
backend = "chroot"
max_concurrent_sandboxes = 3
[logging]
level = "loud"
[more]
x = 1
)");
    REQUIRE(found.problems.size() == 4);
    CHECK(found.problems[0].starts_with("line 2, column 8: server.port "));
    CHECK(found.problems[1].starts_with("line 4, column 11: sandbox.backend: is 'chroot'"));
    CHECK(found.problems[2].starts_with("line 7, column 9: logging.level: 'loud'"));
    CHECK(found.problems[3].starts_with("line 8, column 1: more is not a known section"));
    CHECK(into.sandboxes.max_concurrent_sandboxes == 3);

    const auto wrong = config::apply_environment(into, [](const char* name) -> const char* {
        const std::string_view asked{name};
        if (asked == "SANDBOX_PORT") return "x";
        if (asked == "LOG_LEVEL") return "bad";
        return asked == "LOG_FORMAT" ? "JSON" : nullptr;
    });
    REQUIRE(wrong.size() == 2);
    CHECK(wrong[0].starts_with("SANDBOX_PORT: "));
    CHECK(wrong[1].starts_with("LOG_LEVEL: "));
    CHECK(into.log.format == "json");
}
