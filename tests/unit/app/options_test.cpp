#include "options.hpp"

#include "config/config.hpp"

#include <catch2/catch_test_macros.hpp>

#include <optional>
#include <string>
#include <vector>

using namespace sandboxd;
using app::options;
using app::parse_options;

namespace {

using arguments = std::vector<const char*>;

// "config=… addr=… dir=… advertise=… check version help", what is set of it.
std::string described(const options& given)
{
    std::string text;
    const auto add = [&text](const std::string& what) { text += (text.empty() ? "" : " ") + what; };
    if (given.config) add("config=" + *given.config);
    if (given.backend) add("backend=" + *given.backend);
    if (given.addr) add("addr=" + *given.addr);
    if (given.working_dir) add("dir=" + *given.working_dir);
    if (given.advertise) add("advertise=" + *given.advertise);
    if (given.check_config) add("check");
    if (given.version) add("version");
    if (given.help) add("help");
    return text;
}

}  // namespace

TEST_CASE("arguments that are understood", "[app][options]")
{
    struct row {
        arguments given;
        const char* expected;
    };
    const row rows[] = {
        {{}, ""},
        {{"--config", "a.json"}, "config=a.json"},
        {{"--config=a.json"}, "config=a.json"},
        {{"--config=a=b"}, "config=a=b"},
        {{"--addr", ":8080"}, "addr=:8080"},
        {{"--addr=unix:/run/s.sock"}, "addr=unix:/run/s.sock"},
        {{"--addr", "--help"}, "addr=--help"},  // what stands behind a name is its value
        {{"--backend", "docker"}, "backend=docker"},
        {{"--working-dir", "/srv"}, "dir=/srv"},
        {{"--working-dir=/srv"}, "dir=/srv"},
        {{"--advertise", "fd00::12"}, "advertise=fd00::12"},
        {{"--check-config"}, "check"},
        {{"--version"}, "version"},
        {{"--help"}, "help"},
        {{"--help", "--help"}, "help"},
        {{"--config", "a", "--config=b"}, "config=b"},  // the last one counts
        {{"--check-config", "--addr", ":0", "--config", "c", "--working-dir", "d", "--version", "--help"},
         "config=c addr=:0 dir=d check version help"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.given);
        const auto got = parse_options(row.given);
        REQUIRE(got.has_value());
        CHECK(described(*got) == row.expected);
    }
}

TEST_CASE("arguments that are not understood are named, with the way to help", "[app][options]")
{
    struct row {
        arguments given;
        const char* expected;
    };
    const row rows[] = {
        {{"--confg", "a"}, "unknown argument '--confg'; see sandboxd --help"},
        {{"--confg=a"}, "unknown argument '--confg=a'; see sandboxd --help"},
        {{"config.json"}, "unknown argument 'config.json'; see sandboxd --help"},
        {{"-h"}, "unknown argument '-h'; see sandboxd --help"},
        {{"--"}, "unknown argument '--'; see sandboxd --help"},
        {{""}, "unknown argument ''; see sandboxd --help"},
        {{"=a"}, "unknown argument '=a'; see sandboxd --help"},
        {{"--Config", "a"}, "unknown argument '--Config'; see sandboxd --help"},
        {{"--config"}, "--config needs a value; see sandboxd --help"},
        {{"--config="}, "--config needs a value; see sandboxd --help"},
        {{"--config", ""}, "--config needs a value; see sandboxd --help"},
        {{"--addr"}, "--addr needs a value; see sandboxd --help"},
        {{"--advertise", ""}, "--advertise needs a value; see sandboxd --help"},
        {{"--help", "--working-dir"}, "--working-dir needs a value; see sandboxd --help"},
        {{"--help=yes"}, "--help takes no value; see sandboxd --help"},
        {{"--version="}, "--version takes no value; see sandboxd --help"},
        {{"--check-config=true"}, "--check-config takes no value; see sandboxd --help"},
        {{"--addr", ":80", "extra"}, "unknown argument 'extra'; see sandboxd --help"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.given);
        const auto got = parse_options(row.given);
        REQUIRE(got.has_error());
        CHECK(got.error().code == errc::invalid_request);
        CHECK(got.error().message == row.expected);
    }
}

TEST_CASE("the usage names every option", "[app][options]")
{
    const auto usage = app::usage();
    for (const auto* name : {"--config", "--addr", "--working-dir", "--check-config", "--version", "--help",
                             "LOG_LEVEL", "--backend", "LOG_FORMAT", "SANDBOX_HOST", "SANDBOX_PORT", "SANDBOX_BACKEND",
                             "SANDBOX_TIMEOUT_MS", "SANDBOX_MEMORY_LIMIT_MB"}) {
        CAPTURE(name);
        CHECK(usage.find(name) != std::string::npos);
    }
    CHECK(usage.find("the jail: auto, bubblewrap, ") != std::string::npos);
    for (const auto jail : config::jail_names()) {
        CAPTURE(jail);
        CHECK(usage.find(jail) != std::string::npos);
    }
    CHECK(usage.ends_with('\n'));
}
