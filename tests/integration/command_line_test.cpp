// The command line and the configuration: what is wrong is said in one line that names the file, the key and
// the cure, and ends the start with exit code 2.
#include "support/command_output.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/parse.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using namespace sandboxd::test;
namespace fs = std::filesystem;

namespace {

bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// The one line that tells why it did not start.
std::string complaint(const run_result& ran)
{
    std::string found;
    std::size_t count = 0;
    for (std::size_t at = 0; at < ran.err.size();) {
        const auto end = ran.err.find('\n', at);
        const auto line = ran.err.substr(at, end - at);
        if (line.starts_with("sandboxd: ")) {
            found = line;
            ++count;
        }
        at = end == std::string::npos ? ran.err.size() : end + 1;
    }
    return count == 1 ? found : "(" + std::to_string(count) + " lines) " + ran.err;
}

fs::path write(const fs::path& file, std::string_view text)
{
    std::ofstream{file} << text;
    return file;
}

}  // namespace

TEST_CASE("--help and --version answer and end", "[cli]")
{
    const auto help = run_sandboxd({"--help"});
    CHECK(help.end.exited);
    CHECK(help.end.code == 0);
    CHECK(help.err.empty());
    for (const auto* option : {"--config FILE", "--addr ADDR", "--working-dir DIR", "--advertise ADDRESS",
                               "--check-config", "--version", "--help"})
        CHECK(holds(help.out, option));

    const auto version = run_sandboxd({"--version"});
    CHECK(version.end.code == 0);
    CHECK(version.out.starts_with("sandboxd "));
    CHECK(std::count(version.out.begin(), version.out.end(), '\n') == 1);
}

TEST_CASE("wrong arguments are refused with a pointer to --help", "[cli]")
{
    const std::vector<std::vector<std::string>> wrong{{"--nonsense"}, {"serve"},       {"--config"},
                                                      {"--addr"},     {"--version=3"}, {"-h"}};
    for (const auto& arguments : wrong) {
        INFO(arguments.front());
        const auto ran = run_sandboxd(arguments);
        CHECK(ran.end.code == 2);
        CHECK(ran.out.empty());
        CHECK(holds(complaint(ran), arguments.front().substr(0, arguments.front().find('='))));
        CHECK(holds(complaint(ran), "see sandboxd --help"));
    }
}

TEST_CASE("a broken configuration is named by file, key and cure", "[cli][config]")
{
    struct broken {
        const char* text;
        const char* key;
        const char* cure;
    };
    const broken table[] = {
        {R"({"adr": ":8080"})", "adr", "config.json.example"},
        {R"({"http": {"maxConnection": 1}})", "http.maxConnection", "config.json.example"},
        {R"({"addr": 8080})", "addr", "must be a string"},
        {R"({"http": []})", "http", "must be an object"},
        {R"({"defaultArgs": ["-O1", 2]})", "defaultArgs[1]", "must be a string"},
        {R"({"enableStaticArtifacts": "yes"})", "enableStaticArtifacts", "must be true or false"},
        {R"({"compileTimeoutSecs": 1.5})", "compileTimeoutSecs", "must be an integer"},
        {R"({"compileTimeoutSecs": 0})", "compileTimeoutSecs", "must be between 1 and "},
        {R"({"cleanupIntervalMins": -1})", "cleanupIntervalMins", "must be between 1 and "},
        {R"({"http": {"maxHeaderBytes": 99999999999999999999}})", "http.maxHeaderBytes", "must be "},
        {R"({"jail": "chroot"})", "jail",
         "must be one of 'auto', 'bubblewrap', 'namespaces', 'nsjail', 'oci', 'docker', 'none'"},
        {R"({"log": {"level": "loud"}})", "log.level", "must be one of 'debug'"},
        {R"({"jobsDir": ""})", "jobsDir", "must not be empty"},
        {R"({"jobsDir": "x", "artifactsDir": "./x"})", "artifactsDir", "must not be the same directory as jobsDir"},
        {R"({"nsjailEnabled": true, "jail": "none"})", "nsjailEnabled", "leave one of the two out"},
        {R"({"toolchain": {"emcc": "emcc"}})", "toolchain.emcc", "must be an absolute path"},
        {R"({"addr": "8080"})", "addr", "write ':8080'"},
        {R"({"addr": "localhost:http"})", "addr", "write ':8080'"},
        {R"({"addr": "::1:8080"})", "addr", "brackets"},
        {R"({"addr": ":70000"})", "addr", "between 0 and 65535"},
        {R"({"addr": "unix:relative"})", "addr", "absolute path"},
        {"{\n  \"addr\": \":8080\",\n}", "line 3, column 1", "remove the comma at line 2, column 18"},
        {"{\"defaultArgs\": [\"-O1\", ]}", "line 1, column 25", "remove the comma at line 1, column 23"},
        {"{\n  // here\n}", "line 2, column 3", "JSON has no comments"},
        {R"({"maxConnections": 1})", "maxConnections", "did you mean http.maxConnections?"},
        {R"({"http": {"apiCorsOrigins": ["https://a.example/"]}})", "http.apiCorsOrigins",
         "such as 'https://a.example'"},
        {R"({"http": {"artifactCorsOrigins": ["a.example"]}})", "http.artifactCorsOrigins",
         "such as 'https://a.example'"},
        {"", "line 1", "not JSON"},
        {"[]", "", "must hold a JSON object"},
    };
    const temporary_directory own;
    for (const auto& one : table) {
        INFO(one.text);
        const auto file = write(own / "broken.json", one.text);
        for (const bool only_check : {true, false}) {
            std::vector<std::string> arguments{"--config", file};
            if (only_check) arguments.emplace_back("--check-config");
            const auto ran = run_sandboxd(arguments);
            CHECK(ran.end.exited);
            CHECK(ran.end.code == 2);
            CHECK(ran.out.empty());
            CHECK(complaint(ran).starts_with("sandboxd: " + file.native() + ": " + one.key));
            CHECK(holds(complaint(ran), one.cure));
            CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
        }
    }
    const auto missing = run_sandboxd({"--config", own / "missing.json"});
    CHECK(missing.end.code == 2);
    CHECK(holds(complaint(missing), "missing.json: cannot be read"));
    CHECK(run_sandboxd({"--check-config", "--config", write(own / "fine.json", "{}")}).end.code == 0);
}

TEST_CASE("a directory that cannot be used is named with its key and the cure", "[cli][config]")
{
    const temporary_directory own;
    write(own / "in-the-way", "");
    const auto blocked = (own / "in-the-way").native();
    struct broken {
        std::string text;
        const char* key;
    };
    const broken table[] = {
        {R"({"jobsDir": ")" + blocked + R"("})", "jobsDir"},
        {R"({"artifactsDir": ")" + blocked + R"(/below"})", "artifactsDir"},
        {R"({"workingDir": ")" + blocked + R"("})", "workingDir"},
    };
    for (const auto& one : table) {
        INFO(one.text);
        const auto file = write(own / "config.json", one.text);
        std::vector<std::string> arguments{"--config", file, "--addr", "127.0.0.1:0"};
        if (!holds(one.text, "workingDir")) arguments.insert(arguments.end(), {"--working-dir", own.path()});
        const auto ran = run_sandboxd(arguments);
        CHECK(ran.end.exited);
        CHECK(ran.end.code == 2);
        CHECK(ran.out.empty());
        CHECK(complaint(ran).starts_with("sandboxd: " + file.native() + ": " + one.key + ": "));
        CHECK(holds(complaint(ran), blocked));
        CHECK(holds(complaint(ran), "make it writable"));
    }
}

TEST_CASE("jobs and artifacts that share a directory are refused, through links, too", "[cli][config]")
{
    const temporary_directory own;
    fs::create_directories(own / "artifacts/inner");
    fs::create_directory_symlink("artifacts/inner", own / "link");
    struct row {
        std::string text;
        std::string says;
    };
    const row table[] = {
        {R"({"jobsDir": "artifacts/jobs"})", ": artifactsDir must not hold jobsDir"},
        {R"({"jobsDir": "artifacts"})", ": artifactsDir must not be the same directory as jobsDir"},
        {R"({"jobsDir": "link"})", ": artifactsDir: must not hold jobsDir; their real paths are "},
        {R"({"artifactsDir": "link", "jobsDir": "artifacts"})", ": artifactsDir: must not lie within jobsDir; their"},
    };
    for (const auto& one : table) {
        INFO(one.text);
        const auto file = write(own / "config.json", one.text);
        const auto ran = run_sandboxd({"--config", file, "--addr", "127.0.0.1:0", "--working-dir", own.path()});
        CHECK(ran.end.exited);
        CHECK(ran.end.code == 2);
        CHECK(complaint(ran).starts_with("sandboxd: " + file.native() + one.says));
    }
}

TEST_CASE("an address that cannot be listened on is named with what set it", "[cli][config]")
{
    const server_process first{{.config = no_toolchain, .wait_ready = false}};
    const auto taken = "127.0.0.1:" + std::to_string(first.port());
    const temporary_directory own;
    const auto file = write(own / "config.json", R"({"addr": ")" + taken + R"("})");

    const auto by_file = run_sandboxd({"--config", file, "--working-dir", own.path()});
    CHECK(by_file.end.code == 2);
    CHECK(by_file.out.empty());
    CHECK(complaint(by_file).starts_with("sandboxd: " + file.native() + ": addr: cannot listen on " + taken));
    CHECK(holds(complaint(by_file), "choose another addr"));

    const auto by_argument = run_sandboxd({"--addr", taken, "--working-dir", own.path()});
    CHECK(by_argument.end.code == 2);
    CHECK(complaint(by_argument).starts_with("sandboxd: --addr: cannot listen on " + taken));

    const auto wrong = run_sandboxd({"--addr", "nonsense", "--working-dir", own.path()});
    CHECK(wrong.end.code == 2);
    CHECK(complaint(wrong).starts_with("sandboxd: --addr: 'nonsense' has no port"));

    const auto not_ours = run_sandboxd({"--addr", "192.0.2.1:0", "--working-dir", own.path()});
    CHECK(not_ours.end.code == 2);
    CHECK(complaint(not_ours).starts_with("sandboxd: --addr: cannot listen on 192.0.2.1"));
}

TEST_CASE("a jail that is not here is named as it was written, with one that works and how to choose it",
          "[cli][config]")
{
    const temporary_directory own;
    // A PATH without nsjail, wherever this runs.
    fs::create_directory(own / "bin");
    const auto json = write(own / "config.json", R"({"nsjailEnabled": true})");
    const auto plain = write(own / "plain.json", R"({"jail": "nsjail"})");
    const auto toml = write(own / "config.toml", "[sandbox]\nbackend = \"nsjail\"\n");
    struct row {
        std::vector<std::string> arguments;
        std::vector<std::pair<std::string, std::string>> env;
        std::string named;
        std::string cure;
    };
    const row rows[] = {
        {{"--config", json},
         {},
         json.native() + ": nsjailEnabled: ",
         R"(set "nsjailEnabled" to false and "jail" to "namespaces")"},
        {{"--config", plain}, {}, plain.native() + ": jail: ", R"(set "jail" to "namespaces")"},
        {{"--config", toml}, {}, toml.native() + ": sandbox.backend: ", R"(set backend = "namespaces" in [sandbox])"},
        {{"--backend", "nsjail"}, {}, "--backend: ", "start with --backend namespaces"},
        {{}, {{"SANDBOX_BACKEND", "nsjail"}}, "SANDBOX_BACKEND: ", "set SANDBOX_BACKEND=namespaces"},
    };
    for (const auto& one : rows) {
        INFO(one.named);
        auto env = one.env;
        env.emplace_back("PATH", (own / "bin").native());
        for (const bool only_check : {false, true}) {
            auto arguments = one.arguments;
            arguments.insert(arguments.end(), {"--working-dir", own / "work", "--addr", "127.0.0.1:0"});
            if (only_check) arguments.emplace_back("--check-config");
            const auto ran = run_sandboxd(arguments, env);
            CHECK(ran.end.code == 2);
            INFO(ran.err);
            CHECK(complaint(ran).starts_with("sandboxd: " + one.named));
            CHECK(holds(complaint(ran), "not installed"));
            CHECK(holds(complaint(ran), "namespaces works here: to use it, " + one.cure));
            CHECK_FALSE(holds(complaint(ran), "none"));
            CHECK_FALSE(holds(complaint(ran), "apt-get install bubblewrap"));
        }
    }
    // What --check-config makes, it removes; what it would need, it does not make.
    CHECK_FALSE(fs::exists(own / "elsewhere"));
    CHECK(run_sandboxd({"--check-config", "--working-dir", own / "elsewhere"}).end.code == 0);
    CHECK_FALSE(fs::exists(own / "elsewhere"));
}

TEST_CASE("a check of the configuration tells every problem that a start would meet", "[cli][config]")
{
    const temporary_directory own;
    write(own / "in-the-way", "");
    const auto file = write(own / "config.json", R"({"workingDir": ")" + (own / "in-the-way/below").native() + R"(",
        "defaultArgs": ["-O2", "-fnonsense", "-sENVIRONMENT=web", "-std=c11", "-std=c++20", "-Iinclude", "-lm",
            "--preload-file", "assets@/assets", "-I/usr/include"],
        "toolchain": {"mounts": ["/nonexistent/mount"], "emcc": "/nonexistent/emcc"},
        "faas": {"initPath": "/etc/passwd"}})");
    struct fault {
        std::string text;
        std::vector<std::string> problems;  // all of them, each the beginning of a line behind the file's name
    };
    // An emcc that says its version, and what it needs.
    const auto tools = own / "tools";
    fs::create_directory(tools);
    std::string mounts = "\"" + tools.native() + "\"";
    for (const auto* const one : {"/bin", "/lib", "/lib64", "/usr"})
        if (fs::exists(one)) mounts += std::string{", \""} + one + "\"";
    for (const auto* const name : {"emcc", "em++"}) {
        write(tools / name, "#!/bin/sh\necho emcc 3.1.6\n");
        fs::permissions(tools / name, static_cast<fs::perms>(0755));
    }
    for (const auto& open : {own.path(), tools}) fs::permissions(open, static_cast<fs::perms>(0755));
    const auto emcc = "\"emcc\": \"" + (tools / "emcc").native() + "\", \"mounts\": [" + mounts + "]";
    // What is fine everywhere; each fault is added to it.
    const auto toolchain = "\"toolchain\": {" + emcc + "}";
    const auto fine = R"("workingDir": ")" + (own / "work").native() + "\", " + toolchain + ", ";
    const auto folder = (own / "folder").native();
    fs::create_directory(folder);
    const fault faults[] = {
        {R"({"addr2": 1, "http": {"x": 1}, "log": {"level": "verbose"}, "jail": "firejail"})",
         {"jail is 'firejail'", "http.x is not", "log.level is 'verbose'", "addr2 is not"}},
        {"{" + fine + R"("addr": "no-such-host.invalid:1"})", {"addr: cannot listen on no-such-host.invalid:1: "}},
        {"{" + fine + R"("addr": "192.0.2.1:0"})", {"addr: cannot listen on 192.0.2.1:0: "}},
        {"{" + fine + R"("addr": "unix:/nonexistent/s", "http": {"unixSocketGroup": "nosuchgroup"}})",
         {"addr: cannot listen on /nonexistent/s: ", "http.unixSocketGroup: there is no group 'nosuchgroup'"}},
        {R"({"workingDir": "/proc/x", )" + toolchain + "}", {"workingDir: /proc/x cannot be made: /proc: "}},
        {R"({"toolchain": {"emsdk": "/usr/"}})", {"toolchain.emsdk: there is no emsdk in /usr"}},
        {R"({"toolchain": {"path": "/nope:/opt"}})", {"toolchain.path: there is no emcc on /nope:/opt"}},
        {R"({"toolchain": {"env": {"A=B": "1", "": "1"}, )" + emcc + "}}",
         {"toolchain.env holds the name 'A=B'", "toolchain.env holds the name ''"}},
        {R"({"toolchain": {"emcc": "/usr/bin/true"}})", {"toolchain.emcc: /usr/bin/"}},
        {R"({"toolchain": {"emcc": ")" + folder + "\"}}", {"toolchain.emcc: " + folder + " is a directory"}},
        {R"({"toolchain": {"emsdk": "/nope"}})", {"toolchain.emsdk: there is no emsdk in /nope: "}},
        {"{" + fine + R"("js": {"workerPath": "/usr"}, "runtimes": {"node": "/usr", "python": "/nope"},)" +
             R"("faas": {"npm": "/usr", "installCaFile": "/nope"}})",
         {"js.workerPath: /usr is a directory", "runtimes.node: /usr is a directory", "runtimes.python: /nope cannot",
          "faas.npm: /usr is a directory", "faas.installCaFile: /nope cannot be read"}},
        {"{" + fine + R"("enableResourceGating": true, "cgroupV2Root": "/nope"})",
         {"cgroupV2Root: /nope/memory.max cannot be read: "}},
        {"{" + toolchain + R"(, "workingDir": "/etc/passwd"})",
         {"workingDir: /etc/passwd is not a directory; choose another workingDir"}},
        {"{" + fine + R"("faas": {"initPath": "/usr/bin/true"}})", {"jail: "}},
        {"{" + fine + R"("jail": "oci", "ociRuntimePath": "/nope/crun"})", {"ociRuntimePath: /nope/crun cannot"}},
        {"{" + fine +
             R"("faas": {"registry": "r.example", "installHosts": ["https://a", "b"], "installProxy": "p:1"}})",
         {"faas.registry: 'r.example' is no", "faas.installHosts: 'b' is no", "faas.installProxy: 'p:1' is no"}},
        {"{" + fine + R"("faas": {"installProxy": "https://p:1"}})", {"faas.installProxy: must be an http: URL"}},
    };
    for (const auto& one : faults) {
        INFO(one.text);
        write(own / "fault.json", one.text);
        auto given = std::vector<std::string>{"--check-config", "--config", own / "fault.json"};
        if (!holds(one.text, "workingDir")) given.insert(given.end(), {"--working-dir", own / "work"});
        const auto checked = run_sandboxd(given);
        INFO(checked.err);
        CHECK(checked.end.code == 2);
        CHECK(std::count(checked.err.begin(), checked.err.end(), '\n') ==
              static_cast<std::ptrdiff_t>(one.problems.size()));
        for (const auto& problem : one.problems)
            CHECK(holds(checked.err, "sandboxd: " + (own / "fault.json").native() + ": " + problem));
    }
    const auto variables =
        run_sandboxd({"--check-config", "--working-dir", own / "work"}, {{"LOG_LEVEL", "bad"}, {"SANDBOX_PORT", "x"}});
    CHECK(holds(variables.err, "sandboxd: SANDBOX_PORT: "));
    CHECK(holds(variables.err, "sandboxd: LOG_LEVEL: "));
    const server_process running{{.config = no_toolchain, .wait_ready = false}};
    write(own / "fine.json", "{" + fine + R"("addr": "127.0.0.1:)" + std::to_string(running.port()) + "\"}");
    const auto in_use = run_sandboxd({"--check-config", "--config", own / "fine.json"});
    INFO(in_use.err);
    CHECK(in_use.end.code == 0);
    CHECK_FALSE(fs::exists(own / "work"));

    const auto ran = run_sandboxd({"--check-config", "--config", file});
    CHECK(ran.end.code == 2);
    CHECK(ran.out.empty());
    INFO(ran.err);
    for (const auto* problem : {": workingDir: ", ": defaultArgs: '-fnonsense' ",
                                ": toolchain.mounts: /nonexistent/mount: ", ": toolchain.emcc: /nonexistent/emcc ",
                                ": faas.initPath: /etc/passwd cannot be executed"})
        CHECK(holds(ran.err, "sandboxd: " + file.native() + problem));
    CHECK(holds(ran.err, ": defaultArgs: '-I/usr/include' "));
    // What some compile gets, what depends on a request's files, what changes nothing.
    for (const auto* kept : {"-sENVIRONMENT", "-std=", "-Iinclude", "-lm", "assets"}) CHECK_FALSE(holds(ran.err, kept));
}

TEST_CASE("with log.format json every line is JSON, those about a failed start included", "[cli][config]")
{
    const auto all_json = [](const std::string& text) {
        std::size_t lines = 0;
        for (std::size_t at = 0; at < text.size(); ++lines) {
            const auto end = text.find('\n', at);
            if (end == std::string::npos || !boost::json::parse(text.substr(at, end - at)).is_object())
                return std::size_t{0};
            at = end + 1;
        }
        return lines;
    };
    const temporary_directory own;
    const auto file = write(own / "config.json", R"({"adr": 1, "log": {"format": "json"}})");
    const auto fine = write(own / "fine.json", R"({"log": {"format": "json"}})");
    const auto comma = write(own / "comma.json", R"({"log": {"format": "json"}, "addr": ":1",})");
    const auto toml = write(own / "config.toml", "[server]\nport = -1\n[logging]\nformat = \"json\"\n");
    for (const auto& ran :
         {run_sandboxd({"--config", file}), run_sandboxd({"--config", toml}),
          run_sandboxd({"--addr", "nonsense"}, {{"LOG_FORMAT", "json"}}),
          run_sandboxd({"--config", own / "missing.json"}, {{"LOG_FORMAT", "json"}}),
          run_sandboxd({"--config", fine}, {{"SANDBOX_PORT", "x"}}),
          run_sandboxd({"--config", fine}, {{"LOG_LEVEL", "foo"}}), run_sandboxd({"--config", fine, "--bar"}),
          run_sandboxd({"--bar"}, {{"LOG_FORMAT", "json"}}), run_sandboxd({"--config"}, {{"LOG_FORMAT", "JSON"}}),
          run_sandboxd({"--config", comma})}) {
        INFO(ran.err);
        CHECK(ran.end.code == 2);
        CHECK(all_json(ran.err) == 1);
        CHECK(holds(ran.err, R"("level":"error")"));
    }
    server_process server{
        {.config = std::string{no_toolchain} + R"(, "log": {"format": "json"})", .wait_ready = false}};
    // What its line on standard output says, is in the log, too.
    CHECK(server.logs("\"addr\":\"" + server.url() + "\""));
    CHECK(server.stop().code == 0);
    CHECK(all_json(server.log()) > 0);
}

TEST_CASE("LOG_LEVEL overrides the configuration, and must be one", "[cli][config]")
{
    const auto wrong = run_sandboxd({"--check-config"}, {{"LOG_LEVEL", "chatty"}});
    CHECK(wrong.end.code == 2);
    CHECK(holds(complaint(wrong), "LOG_LEVEL: 'chatty' is not a log level; use debug, info, warning or error"));

    server_process quiet{{.config = no_toolchain, .env = {{"LOG_LEVEL", "error"}}, .wait_ready = false}};
    http_client client{quiet};
    CHECK(client.get("/healthz").status == 200);
    CHECK(client.get("/nowhere").status == 404);
    CHECK(quiet.stop().code == 0);
    CHECK_FALSE(holds(quiet.log(), " info "));
    CHECK_FALSE(holds(quiet.log(), " warning "));

    server_process talking{{.config = std::string{no_toolchain} + R"(, "log": {"level": "error"})",
                            .env = {{"LOG_LEVEL", "info"}},
                            .wait_ready = false}};
    CHECK(talking.stop().code == 0);
    CHECK(holds(talking.log(), " info "));
}

TEST_CASE("the environment, a TOML file and --backend set what they name, or are refused by that name", "[cli][config]")
{
    const std::pair<const char*, const char*> wrong[] = {{"SANDBOX_PORT", "abc"},
                                                         {"SANDBOX_HOST", "a b"},
                                                         {"SANDBOX_BACKEND", "chroot"},
                                                         {"SANDBOX_TIMEOUT_MS", "0"},
                                                         {"SANDBOX_MEMORY_LIMIT_MB", "much"},
                                                         {"LOG_FORMAT", "xml"}};
    for (const auto& [name, value] : wrong) {
        const auto refused = run_sandboxd({"--check-config"}, {{name, value}});
        CHECK(refused.end.code == 2);
        CHECK(complaint(refused).starts_with("sandboxd: " + std::string{name} + ": "));
    }
    CHECK(run_sandboxd({"--check-config"}, {{"SANDBOX_PORT", "8070"}, {"SANDBOX_BACKEND", "bubblewrap"}}).end.code ==
          0);
    const auto jail = run_sandboxd({"--check-config", "--backend", "chroot"});
    CHECK(jail.end.code == 2);
    CHECK(complaint(jail).starts_with("sandboxd: --backend is 'chroot'; it must be one of "));

    const temporary_directory own;
    const auto file =
        write(own / "config.toml", "[server]\nhost = \"127.0.0.1\"\nport = 0\n[sandbox]\nmax_concurent = 1\n");
    const auto misspelt = run_sandboxd({"--check-config", "--config", file});
    CHECK(misspelt.end.code == 2);
    CHECK(complaint(misspelt).starts_with("sandboxd: " + file.native() +
                                          ": line 5, column 17: sandbox.max_concurent is not known"));
    write(
        file,
        "[server]\nhost = \"127.0.0.1\"\nport = 1\n[sandbox]\ndefault_timeout_ms = 1234\n[logging]\nformat = \"json\"\n");
    server_process server{
        {.env = {{"SANDBOX_PORT", "0"}},
         .wait_ready = false,
         .arguments = std::vector<std::string>{"--config", file, "--working-dir", own / "work", "--backend", "auto"}}};
    http_client client{server};
    const auto made = client.post("/sandbox", {{"runtime", "node"}, {"code", "1"}});
    CHECK((made.status == 422 || made.json().at("timeout_ms").as_int64() == 1234));
    CHECK(server.stop().code == 0);
    CHECK(holds(server.log(), "\"level\":\"info\""));
}

TEST_CASE("config.json in the current directory is used, and paths resolve as documented", "[cli][config]")
{
    const temporary_directory own;
    fs::create_directory(own / "here");
    write(
        own / "here/config.json",
        std::string{"{"} + no_toolchain +
            R"(, "addr": "127.0.0.1:0", "workingDir": "work", "baseDir": "base", "jobsDir": "j", "artifactsDir": "a/b"})");
    {
        server_process server{{.wait_ready = false, .arguments = std::vector<std::string>{}, .cwd = own / "here"}};
        CHECK(server.port() != 0);
        CHECK(fs::is_directory(own / "here/work/base/j"));
        CHECK(fs::is_directory(own / "here/work/base/a/b"));
        CHECK(server.stop().code == 0);
    }
    // An empty workingDir is the current directory; an absolute path stays what it is.
    write(own / "here/config.json", std::string{"{"} + no_toolchain +
                                        R"(, "addr": "127.0.0.1:0", "workingDir": "", "jobsDir": ")" +
                                        (own / "elsewhere").native() + R"("})");
    {
        server_process server{{.wait_ready = false, .arguments = std::vector<std::string>{}, .cwd = own / "here"}};
        CHECK(fs::is_directory(own / "here/artifacts"));
        CHECK(fs::is_directory(own / "elsewhere"));
        CHECK(server.stop().code == 0);
    }
    // --config beats it, --working-dir beats both.
    write(own / "other.json", std::string{"{"} + no_toolchain + R"(, "workingDir": "/nonexistent/place"})");
    server_process server{
        {.wait_ready = false,
         .arguments = std::vector<std::string>{"--config=" + (own / "other.json").native(), "--addr=127.0.0.1:0",
                                               "--working-dir=" + (own / "third").native()},
         .cwd = own / "here"}};
    CHECK(fs::is_directory(own / "third/jobs"));
    CHECK(fs::is_directory(own / "third/artifacts"));

    write(own / "here/config.json", "{");
    const auto broken = run_sandboxd({"--check-config"}, {}, own / "here");
    CHECK(broken.end.code == 2);
    CHECK(complaint(broken).starts_with("sandboxd: config.json: "));
}
