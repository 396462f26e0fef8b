// What a compromised compiler could do. No hole in the real one is needed for it: a stand-in for the compiler
// (stand_in.cpp) sits in emcc's place and does the worst it can from inside the jail.
#include "arena.hpp"
#include "support/eventually.hpp"

#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd::test;

namespace {

struct row {
    std::string attack;              // the stand-in's: a name and arguments
    std::vector<std::string> codes;  // "ok", or the answer's code: one of these
    std::string says{};              // what the answer must mention
};

std::string code_for(const std::string& what) { return "//! " + what + "\nint main(void) { return 0; }\n"; }

verdict try_row(arena& place, const row& one)
{
    attack();
    const auto v = place.compile(code_for(one.attack));
    INFO(one.attack << ": " << v.status << " " << v.code << "\n" << v.log.substr(0, 3000));
    CHECK(std::find(one.codes.begin(), one.codes.end(), v.code) != one.codes.end());
    CHECK(v.log.find(one.says) != std::string::npos);
    CHECK(v.log.find("ALLOWED") == std::string::npos);
    return v;
}

void try_all(arena& place, const std::vector<row>& rows)
{
    for (const auto& one : rows) {
        try_row(place, one);
        place.nothing_left();
    }
}

// Small, but for the time of jobs that end by themselves.
std::string small_limits(int seconds)
{
    return "\"compileTimeoutSecs\": " + std::to_string(seconds) + R"(,
    "jobLimits": {"memoryMB": 256, "cpuSecs": 60, "processes": 32, "openFiles": 64, "fileMB": 128, "tmpMB": 16},
    "compile": {"maxArtifactMB": 8, "maxArtifactsMB": 12, "maxJobDiskMB": 32, "maxJobFiles": 500, "maxOutputBytes": 300000})";
}

const std::vector<std::string> fine{"ok"};
const std::vector<std::string> refused{"artifact_rejected"};

}  // namespace

TEMPLATE_TEST_CASE("an artifact that is not a plain file is refused", "[hostile][jobs]", in_bubblewrap, in_namespaces,
                   in_nsjail)
{
    arena place{{.jail = TestType::name, .config = small_limits(10), .stand_in = true}};
    const auto canary = place.host().files()[0].native();
    std::vector<row> rows;
    for (const std::string name : {"app.js", "app.wasm", "app.data", "app.wasm.map"}) {
        rows.push_back({"leave symlink " + name + " /etc/passwd", refused, name});
        rows.push_back({"leave symlink " + name + " " + canary, refused, "symbolic link"});
        rows.push_back({"leave fifo " + name, refused, name});
        rows.push_back({"leave socket " + name, refused, name});
        rows.push_back({"leave directory " + name, refused, name});
        rows.push_back({"leave hardlink " + name, refused, "hard link"});
    }
    const std::vector<row> more{
        {"leave symlink app.js ../src/main.c", refused, "app.js"},
        {"leave symlink app.js app.js", refused, "app.js"},
        {"leave symlink app.js app.wasm", refused, "app.js"},
        {"leave symlink app.js /dev/zero", refused, "app.js"},
        {"leave symlink app.wasm /proc/self/environ", refused, "app.wasm"},
        {"leave symlink app.wasm nowhere", refused, "app.wasm"},
        {"leave sparse app.wasm 100000000", refused, "app.wasm"},
        {"leave sparse app.data 9000000", refused, "app.data"},
        // RLIMIT_FSIZE: there is no such file then, or an empty one.
        {"leave sparse app.data 1099511627776", fine, "EFBIG"},
        // Devices, and links to what is not its own, cannot be made at all.
        {"leave device app.wasm", fine, "EPERM"},
        {"leave foreign-hardlink app.wasm main.c", fine, "EXDEV"},
        {"leave foreign-hardlink app.wasm /proc/self/exe", fine, "EXDEV"},
        {"leave foreign-hardlink app.wasm /dev/null", fine, "EXDEV"},
        {"leave unreadable app.wasm", {"ok", "artifact_rejected"}},
        {"leave setuid app.wasm", fine},
        {"leave empty app.js", fine},
        {"leave swapped app.wasm /etc/shadow", {"ok", "artifact_rejected"}},
        {"leave swapped app.js " + canary, {"ok", "artifact_rejected", "compile_error"}},
        {"nothing", {"compile_error"}, "app.js"},
        {"large 7", fine},
        {"large 9", refused, "app.data"},
    };
    rows.insert(rows.end(), more.begin(), more.end());
    try_all(place, rows);
}

TEMPLATE_TEST_CASE("no process outlives its job", "[hostile][jobs]", in_bubblewrap, in_namespaces, in_nsjail)
{
    arena place{{.jail = TestType::name, .config = small_limits(3), .stand_in = true}};
    const std::vector<std::string> time{"timeout"};
    const std::vector<std::string> dead{"compile_error"};
    // The first process of a PID namespace, as the program is in nsjail, does not get its own signals.
    const std::vector<std::string> signaled{"compile_error", "timeout"};
    // Who dies of SIGKILL without having been killed by us ran out of memory, as far as anybody can tell.
    const std::vector<std::string> killed{"memory_limit", "timeout"};
    std::vector<row> rows;
    for (const std::string way : {"child", "setsid", "daemon", "holding", "ignoring", "stopped", "group"})
        rows.push_back({"survive " + way, fine});
    const std::vector<row> more{
        {"bomb", {"ok", "timeout"}}, {"stay sleeping", time}, {"stay ignoring", time}, {"stay closed", time},
        {"stay spinning", time},     {"stay stopped", time},  {"kill-all", killed},    {"signal 9", killed},
        {"signal 11", signaled},     {"signal 15", signaled}, {"signal 31", signaled}, {"exit 1", dead},
        {"exit 255", dead},
    };
    rows.insert(rows.end(), more.begin(), more.end());
    try_all(place, rows);
}

TEMPLATE_TEST_CASE("a job cannot use more than its share", "[hostile][jobs]", in_bubblewrap, in_namespaces, in_nsjail)
{
    arena place{{.jail = TestType::name, .config = small_limits(15), .stand_in = true}};
    const std::vector<std::string> disk{"disk_limit"};
    const std::vector<std::string> output{"output_limit"};
    // What fits is waited for; what is over is ended, or the tmpfs is full and the job goes on.
    const std::vector<row> rows{
        {"fill /tmp 200", fine, "ENOSPC"},
        {"fill /dev/shm 200", fine, "ENOSPC"},
        {"fill ../out 100", {"disk_limit", "ok"}},
        {"fill ../out 100 hidden", {"disk_limit", "ok"}},
        {"fill ../out 100 kept", disk},
        {"fill ../out 100 mapped", disk},
        {"fill ../out 24 kept", {"timeout"}, "bytes 25165824"},
        {"many 5000", {"disk_limit", "ok"}},
        {"deep 1000", {"disk_limit", "ok"}},
        {"deep 20", fine, "depth 20"},
        {"awkward", {"ok", "disk_limit"}},
        {"descriptors", fine, "descriptors 6"},
        {"memory", {"memory_limit"}},
        {"flood lines", output},
        {"flood one-line", output},
        {"flood nul", output},
        {"flood bytes", output},
        {"flood escapes", output},
        {"flood broken-utf8", output},
        {"flood diagnostics", output},
        {"flood json", output},
    };
    for (const auto& one : rows) {
        const auto v = try_row(place, one);
        if (v.code == "output_limit") {
            CHECK(v.body.at("truncated").as_bool());
            CHECK(v.member("log").size() <= 3 * 300'000);  // U+FFFD for a byte
        }
        place.nothing_left();
    }
    // What was written was not kept beyond the job: the next one finds the same room.
    try_row(place, {"fill /tmp 8", fine, "bytes 8388608"});
    place.nothing_left();
}

TEMPLATE_TEST_CASE("output of every kind comes back as valid JSON", "[hostile][jobs]", in_bubblewrap, in_namespaces,
                   in_nsjail)
{
    // A megabyte of NUL, of which JSON makes six.
    arena place{{.jail = TestType::name, .config = R"("compile": {"maxOutputBytes": 5000000})", .stand_in = true}};
    for (const std::string what : {"nul", "bytes", "escapes", "broken-utf8", "diagnostics", "json", "one-line"}) {
        const auto v = try_row(place, {"flood " + what + " 1", {"compile_error"}});
        CHECK_FALSE(v.log.empty());
    }
    place.nothing_left();
}

TEMPLATE_TEST_CASE("a job reads nothing of the host", "[hostile][jobs]", in_bubblewrap, in_namespaces, in_nsjail)
{
    arena place{{.jail = TestType::name, .config = R"("compile": {"maxOutputBytes": 4000000})", .stand_in = true}};
    std::string files;
    for (const auto& file : place.host().files()) files += " " + file.native();
    files += " /proc/" + std::to_string(place.server().pid()) + "/environ";
    const auto v = try_row(place, {"read" + files, fine, "== /proc/self/cmdline"});
    // Its environment is what the toolchain needs.
    CHECK(v.log.find("SANDBOXD_TEST_SECRET") == std::string::npos);
    CHECK(v.log.find("== /etc/") == std::string::npos);
    CHECK(v.log.find("== /proc/1/root") == std::string::npos);
    place.nothing_left();
    try_row(place, {"forgotten", fine});
    place.nothing_left();
}

TEMPLATE_TEST_CASE("a job reaches no network and no other program", "[hostile][jobs]", in_bubblewrap, in_namespaces,
                   in_nsjail)
{
    arena place{{.jail = TestType::name, .config = {}, .stand_in = true}};
    // An abstract name is everybody's in the same network namespace.
    const auto& name = place.host().marker();
    const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path + 1, sizeof address.sun_path - 2);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    REQUIRE(::bind(listener, reinterpret_cast<const sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener, 8) == 0);
    try_row(place, {"connect " + std::to_string(place.server().port()) + " " + name, fine});
    ::close(listener);
    place.nothing_left();
}

TEMPLATE_TEST_CASE("a job changes nothing but its output directory", "[hostile][jobs]", in_bubblewrap, in_namespaces,
                   in_nsjail)
{
    arena place{{.jail = TestType::name, .config = {}, .stand_in = true}};
    std::string files;
    for (const auto& file : place.host().files()) files += " " + file.native();
    try_row(place, {"write " + place.host().marker() + files, fine});
    place.nothing_left();
}

TEMPLATE_TEST_CASE("a job whose client goes away is killed", "[hostile][jobs]", in_bubblewrap, in_namespaces, in_nsjail)
{
    // Nothing but the disconnect can end these jobs in the time that the test has.
    arena place{{.jail = TestType::name, .config = R"("compileTimeoutSecs": 3000)", .stand_in = true}};
    for (const std::string what : {"stay sleeping", "stay ignoring", "stay spinning", "stay stopped", "kill-all",
                                   "bomb-and-stay", "flood lines"}) {
        attack();
        INFO(what);
        auto client = place.connect();
        client.start_post("/compile", {{"code", code_for(what == "bomb-and-stay" ? "stay bomb" : what)}});
        // Until it runs, or has run: some end by themselves.
        REQUIRE(eventually([&] { return !place.job_processes().empty() || client.readable(); }));
        client.close();
        place.nothing_left(std::chrono::seconds{60});
    }
}

TEST_CASE("a client that goes away does not end the job of another", "[hostile][jobs]")
{
    arena place{{.config = R"("compileTimeoutSecs": 3)", .stand_in = true}};
    attack();
    const boost::json::object same{{"code", code_for("stay sleeping")}};
    auto first = place.connect();
    auto second = place.connect();
    first.start_post("/compile", same);
    REQUIRE(eventually([&] { return !place.job_processes().empty(); }));
    second.start_post("/compile", same);
    REQUIRE(eventually([&] { return place.metric("sandboxd_cache_requests_total{from=\"flight\"}") > 0; }));
    first.close();
    CHECK(place.read_compile(second.receive()).code == "timeout");
    second.close();
    place.nothing_left();
}

TEST_CASE("a failure that a job made up is nobody else's", "[hostile][jobs]")
{
    // What a job prints is kept only under the key of that very job.
    arena place{{.config = {}, .stand_in = true}};
    try_row(place, {"flood diagnostics 0", {"compile_error"}});
    CHECK(place.compile("int main(void) { return 0; }\n").code == "ok");
    place.nothing_left();
}
