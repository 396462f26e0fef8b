// What the program in a sandbox may try: it is in a jail like a compiler's, but runs whatever it was sent, and there
// are others beside it.
#include "arena.hpp"
#include "support/eventually.hpp"
#include "support/proc.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

constexpr const char* small_limits = R"("sandboxes": {"timeoutMs": 20000, "memoryMB": 96, "maxMemoryMB": 96,
    "processes": 48, "openFiles": 128, "diskMB": 8, "outputBytes": 200000})";

struct row {
    std::string code;
    std::vector<std::string> verdicts;  // one of these
    std::string says{};                 // must be in what it printed
    json::object more{};                // further members of the request
    json::object how{};                 // the execution's
};

// The runtimes of JavaScript that this server has, of the two that are programs.
std::vector<std::string> runtimes_of(arena& place)
{
    std::vector<std::string> found;
    auto client = place.connect();
    const auto told = client.get("/runtimes").json();
    for (const auto& one : told.at("runtimes").as_array()) {
        const std::string name{one.at("name").as_string()};
        if (name == "node" || name == "bun") found.push_back(name);
    }
    if (found.empty()) SKIP("there is neither Node.js nor Bun");
    if (found.size() == 1) WARN("left out: only " << found[0] << " is there");
    return found;
}

std::string make(arena& place, const std::string& runtime, const row& one)
{
    auto asked = one.more;
    asked["runtime"] = runtime;
    asked["code"] = one.code;
    asked["entry_point"] = "main.cjs";
    auto client = place.connect();
    const auto made = client.post("/sandbox", asked);
    INFO(made.body);
    REQUIRE(made.status == 200);
    return std::string{made.json().at("id").as_string()};
}

void remove(arena& place, const std::string& id)
{
    auto client = place.connect();
    CHECK(client.request("DELETE", "/sandbox/" + id).status == 204);
}

// An honest program, in the same server, right behind.
void honest(arena& place, const std::string& runtime)
{
    const auto id = make(place, runtime, {"console.log('honest')", {}});
    auto client = place.connect();
    const auto answer = client.post("/sandbox/" + id + "/execute", json::object{});
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    CHECK(answer.json().at("stdout") == "honest\n");
    remove(place, id);
}

// `beside`: the processes of another sandbox's jail, which waits.
std::string try_row(arena& place, const std::string& runtime, const row& one, const std::vector<pid_t>& beside = {})
{
    attack();
    const auto id = make(place, runtime, one);
    // It meets the program in a jail where its runtime has waited. Without that, python's rows and the last case's run.
    if (!one.more.contains("env_vars") && !one.more.contains("files"))
        CHECK(eventually([&] { return place.metric("sandboxd_sandbox_warm_runtimes") >= 1; }));
    auto client = place.connect();
    const auto answer = client.post("/sandbox/" + id + "/execute", one.how);
    INFO(runtime << ": " << one.code << "\n" << answer.status << " " << answer.body.substr(0, 3000));
    REQUIRE(answer.status == 200);
    place.look_for_secrets(answer.body, "the answer");
    const auto told = answer.json();
    const std::string verdict{told.at("verdict").as_string()};
    CHECK(std::ranges::find(one.verdicts, verdict) != one.verdicts.end());
    const auto printed = std::string{told.at("stdout").as_string()} + std::string{told.at("stderr").as_string()};
    CHECK(printed.find(one.says) != std::string::npos);
    CHECK(printed.find("ALLOWED") == std::string::npos);
    place.look_for_secrets(printed, "the output");
    CHECK(told.at("success").as_bool() == (verdict == "exit" && told.at("exit_code").as_int64() == 0));
    CHECK(place.job_processes() == beside);
    remove(place, id);
    honest(place, runtime);
    return printed;
}

void try_all(arena& place, const std::vector<row>& rows)
{
    for (const auto& runtime : runtimes_of(place)) {
        for (const auto& one : rows) try_row(place, runtime, one);
        place.nothing_left();
    }
}

const std::vector<std::string> ends{"exit"};
const std::vector<std::string> out_of_time{"timeout"};
const std::vector<std::string> memory{"memory_limit"};
const std::vector<std::string> output{"output_limit"};
const std::vector<std::string> disk{"disk_limit"};

}  // namespace

TEST_CASE("a program in Python has the same walls around it", "[hostile][sandboxes]")
{
    arena place{{.config = small_limits}};
    auto client = place.connect();
    const auto told = client.get("/runtimes").json();
    const auto& all = told.at("runtimes").as_array();
    if (std::ranges::none_of(all, [](const json::value& one) { return one.at("name").as_string() == "python"; }))
        SKIP("there is no Python");
    const row rows[] = {
        {"import os\n"
         "for f in ['/etc/shadow', '/root', '/proc/1/environ', '/srv', '/home', '/var/tmp']:\n"
         "    try: print(f, os.listdir(f) if os.path.isdir(f) else open(f).read()[:4000])\n"
         "    except OSError as e: print(f, e.errno)\n"
         "for f in ['/etc/x', '/usr/lib/x', '/runtime/python3', '/x', '/dev/x', '/proc/sys/kernel/core_pattern']:\n"
         "    try: open(f, 'w').write('x'); print('ALLOWED', f)\n"
         "    except OSError: pass\n"
         "print('processes', sum(p.isdigit() for p in os.listdir('/proc')) <= 3)",
         {"exit"},
         "processes True"},
        {"import socket\n"
         "for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET):\n"
         "    try: s = socket.socket(family); s.settimeout(1); s.connect(('127.0.0.1', " +
             std::to_string(place.server().port()) +
             ")); print('ALLOWED', family)\n"
             "    except Exception as e: print(type(e).__name__)\n"
             "print('tried')",
         {"exit"},
         "tried"},
        {"import os\n"
         "for i in range(200):\n"
         "    try:\n"
         "        if os.fork() == 0: os.setsid(); import time; time.sleep(1000)\n"
         "    except OSError: pass\n"
         "print('forked', flush=True)",
         {"exit", "timeout"},
         "forked"},
        {"import ctypes, os\n"
         "libc = ctypes.CDLL(None, use_errno=True)\n"
         "for name, number in (('ptrace', 101), ('mount', 165), ('unshare', 272), ('bpf', 321), ('io_uring_setup', 425)):\n"
         "    if libc.syscall(number, 0, 0, 0, 0, 0) >= 0: print('ALLOWED', name)\n"
         "print('tried')",
         {"exit"},
         "tried"},
        // Filters of sockets, of which the machine can have so many: SO_ATTACH_FILTER and SO_ATTACH_REUSEPORT_CBPF.
        {"import ctypes, socket, struct\n"
         "code = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0))\n"
         "program = struct.pack('HL', 1, ctypes.addressof(code))\n"
         "for option in (26, 51):\n"
         "    try: socket.socketpair()[0].setsockopt(socket.SOL_SOCKET, option, program); print('ALLOWED', option)\n"
         "    except PermissionError: print('refused', option)",
         {"exit"},
         "refused 26\nrefused 51\n"},
        // What all of these have in common is only told after a walk over 640 MiB each, on the server's one thread.
        {"import ctypes, os, time\n"
         "libc = ctypes.CDLL(None)\n"
         "libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, "
         "ctypes.c_long]\n"
         "kept = bytearray(20 << 20)\n"
         "for i in range(0, len(kept), 4096): kept[i] = 1\n"
         "f = os.open('/tmp/often', os.O_CREAT | os.O_RDWR); os.ftruncate(f, 4 << 20)\n"
         "for n in range(10):\n"
         "    if os.fork() == 0:\n"
         "        for i in range(160): libc.mmap(None, 4 << 20, 3, 0x8001, f, 0)\n"
         "        time.sleep(1000)\n"
         "print('forked', flush=True)\n"
         "time.sleep(1000)",
         {"memory_limit"},
         "forked"},
    };
    for (const auto& one : rows) {
        attack();
        INFO(one.code);
        const auto made = client.post("/sandbox", {{"runtime", "python"}, {"code", one.code}});
        REQUIRE(made.status == 200);
        const std::string id{made.json().at("id").as_string()};
        const auto answer = client.post("/sandbox/" + id + "/execute", json::object{});
        INFO(answer.body);
        REQUIRE(answer.status == 200);
        const auto ended = answer.json();
        const std::string printed{ended.at("stdout").as_string()};
        CHECK(std::ranges::find(one.verdicts, std::string{ended.at("verdict").as_string()}) != one.verdicts.end());
        CHECK(printed.find(one.says) != std::string::npos);
        CHECK(printed.find("ALLOWED") == std::string::npos);
        place.look_for_secrets(answer.body, "the answer");
        CHECK(place.job_processes().empty());
        remove(place, id);
    }
    client.close();
    place.nothing_left();
}

TEST_CASE("a program in a sandbox leaves no process behind", "[hostile][sandboxes]")
{
    arena place{{.config = small_limits}};
    const std::string spawn =
        "const {spawn} = require('child_process');"
        "const go = (code) => { const c = spawn(process.execPath, ['-e', code], {detached: true, stdio: 'ignore'});"
        " c.on('error', () => {}); c.unref(); };";
    // How long is what the attack needs to be under way, and no more: it ends by the limit alone.
    const json::object soon{{"timeout_ms", 2500}};
    const std::vector<row> rows{
        {"const {spawn} = require('child_process'); const go = () => { for (let i = 0; i < 8; ++i) {"
         " const c = spawn(process.execPath, [__filename], {detached: true, stdio: 'ignore'}); c.on('error', () => {});"
         " c.unref(); } }; setInterval(go, 20); go();",
         {"timeout", "memory_limit", "signalled", "exit"},
         {},
         {},
         soon},
        {spawn + "go('setInterval(() => {}, 1000)'); console.log('left one'); setTimeout(() => process.exit(0), 200);",
         ends, "left one"},
        {spawn +
             "go('process.on(\"SIGTERM\", () => {}); process.on(\"SIGHUP\", () => {}); setInterval(() => {}, 1000)');"
             " setTimeout(() => process.exit(7), 200);",
         ends},
        {"for (const s of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(s, () => {}); setInterval(() => {}, 1000);",
         out_of_time,
         {},
         {},
         soon},
        {"process.kill(process.pid, 'SIGSTOP'); setInterval(() => {}, 1000);", out_of_time, {}, {}, soon},
        {"for (;;);", out_of_time, {}, {}, soon},
        {"for (;;);", out_of_time, {}, {{"cpu_limit_secs", 1}}},
        {"process.abort()", {"signalled"}},
        {"process.kill(process.pid, 'SIGKILL'); setInterval(() => {}, 1000);", {"signalled"}},
        {"process.kill(1, 'SIGKILL'); console.log('on'); process.exit(0)", {"exit", "signalled"}},
        {"try { process.kill(-1, 'SIGKILL') } catch { console.log('nobody') }", {"exit", "signalled"}},
        {"const fs = require('fs'); process.stdout.end(); setTimeout(() => { require('fs').closeSync(2); setInterval(() => {}, 1000); }, 10);",
         {"timeout", "exit"},
         {},
         {},
         soon},
    };
    try_all(place, rows);
}

TEST_CASE("a program in a sandbox uses no more than its share", "[hostile][sandboxes]")
{
    arena place{{.config = small_limits}};
    const std::string fs = "const fs = require('fs');";
    const std::vector<row> rows{
        {"const all = []; for (;;) all.push(new Array(1000).fill(all.length));", memory},
        {"const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1));", memory},
        {"let s = 'x'; for (;;) s = [s, s].join('').slice(0, 1 << 28) + Math.random();",
         {"memory_limit", "exit", "timeout"}},
        {fs + "for (let i = 0;; ++i) fs.writeFileSync('f' + i, Buffer.alloc(1 << 20));", disk},
        {fs + "for (let i = 0;; ++i) fs.writeFileSync('/dev/shm/f' + i, Buffer.alloc(1 << 20));", disk},
        {fs + "fs.truncateSync(fs.openSync('sparse', 'w') && 'sparse', 1 << 40);", {"disk_limit", "exit"}},
        {fs + "const f = fs.openSync('x', 'w'); fs.unlinkSync('x'); for (;;) fs.writeSync(f, Buffer.alloc(1 << 20));",
         disk},
        {fs +
             "let n = 0; try { for (;;) { fs.openSync('/dev/null'); ++n; } } catch (e) { console.log(e.code, n < 128); }",
         ends, "EMFILE true"},
        // Not in one turn: what does not fit into the pipe waits for the next one.
        {"const l = 'x'.repeat(1000); const go = () => { console.log(l); setImmediate(go); }; go();", output},
        {"const l = Buffer.alloc(1000); const go = () => { process.stderr.write(l); setImmediate(go); }; go();",
         output},
        {"const l = Buffer.alloc(5000, 0xff); for (;;) require('fs').writeSync(1, l);", output},
        {"const l = '\"\\\\\\n\\u0001'.repeat(300); const go = () => { console.log(l); console.error(l); setImmediate(go); }; go();",
         output},
        // What an earlier one wrote is not there any more.
        {fs + "console.log(fs.readdirSync('.').join()); fs.writeFileSync('x', Buffer.alloc(7 << 20));", ends,
         "main.cjs\n"},
    };
    try_all(place, rows);
}

TEST_CASE("a program in a sandbox sees nothing of the host, and nobody else", "[hostile][sandboxes]")
{
    arena place{{.config = small_limits}};
    std::string files;
    for (const auto& file : place.host().files()) files += "'" + file.native() + "', ";
    const auto work = place.server().working_dir().native();
    const auto server = std::to_string(place.server().pid());

    // Beside it there is another sandbox, whose secret is the host's, and whose jail waits for it.
    const auto runtimes = runtimes_of(place);
    const auto victim = make(place, runtimes[0],
                             {"const secret = '" + place.host().secret() + "'; setInterval(() => {}, 1000);",
                              {},
                              {},
                              {{"env_vars", json::object{{"SECRET", place.host().secret()}}}, {"timeout_ms", 20'000}}});
    // bubblewrap outside and inside, and sandboxd-init.
    std::vector<pid_t> beside;
    REQUIRE(eventually([&] { return (beside = place.job_processes()).size() == 3; }));
    const std::string look =
        "const fs = require('fs'); const path = require('path');"
        "const show = (f) => { try { console.log(f, fs.readFileSync(f, 'utf8').slice(0, 4000)) } catch (e) { console.log(f, e.code) } };"
        "const walk = (d, n) => { try { for (const e of fs.readdirSync(d, {withFileTypes: true})) { const f = path.join(d, e.name);"
        " if (e.isDirectory()) { if (n > 0) walk(f, n - 1) } else if (n > 0 && !e.isSymbolicLink()) show(f); } } catch (e) { console.log(d, e.code) } };";
    const std::vector<row> rows{
        {look + "for (const f of [" + files +
             "'/etc/passwd', '/etc/shadow', '/proc/1/environ', '/proc/self/environ', '/proc/" + server +
             "/environ', '/proc/1/root/etc/passwd', '/proc/self/root/etc/passwd', '/proc/1/cwd/main.cjs', '../etc/passwd']) show(f);"
             "for (const d of ['/home', '/root', '/srv', '/var', '/run', '/sys', '/mnt']) walk(d, 2);",
         ends},
        {look + "walk('/tmp', 4); walk('" + work + "', 4); walk('" + work + "/sandboxes/" + victim +
             "', 3);"
             "for (const p of fs.readdirSync('/proc')) if (+p) for (const f of ['cmdline', 'environ', 'maps', 'mountinfo', 'cgroup', 'limits', 'status']) show('/proc/' + p + '/' + f);",
         {"exit", "output_limit"},
         {},
         {},
         {{"timeout_ms", 20'000}}},
        {"console.log(JSON.stringify(process.env)); const p = require('fs').readdirSync('/proc').filter((x) => +x); console.log('processes', p.length <= 3);",
         ends, "processes true"},
        {"const fs = require('fs'); let tried = 0; for (const f of [" + files +
             "'/etc/x', '/usr/lib/x', '/runtime/node', '/lib/x', '/x', '/dev/x', '/proc/sys/kernel/core_pattern', 'main.cjs'])"
             " try { fs.writeFileSync(f, 'x'); console.log('ALLOWED', f) } catch { ++tried } console.log('tried', tried > 7);",
         ends, "tried true"},
    };
    for (const auto& runtime : runtimes)
        for (const auto& one : rows) try_row(place, runtime, one, beside);
    remove(place, victim);
    place.nothing_left();
}

TEST_CASE("a program in a sandbox reaches no network and no socket", "[hostile][sandboxes]")
{
    arena place{{.config = small_limits}};
    // An abstract name is everybody's in the same network namespace.
    const auto& name = place.host().marker();
    const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path + 1, sizeof address.sun_path - 2);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    REQUIRE(::bind(listener, reinterpret_cast<const sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener, 8) == 0);
    const auto port = std::to_string(place.server().port());
    const std::vector<row> rows{
        {"const net = require('net'); let left = 0; const to = (...a) => { ++left; const s = net.connect(...a);"
         " s.on('connect', () => { console.log('ALLOWED', ...a); s.destroy(); });"
         " s.on('error', () => {}); s.on('close', () => { if (--left === 0) { console.log('all closed'); process.exit(0); } }); };"
         "for (const h of ['127.0.0.1', '::1', '169.254.169.254', '10.0.0.1', '192.168.0.1', '8.8.8.8']) for (const p of [" +
             port +
             ", 22, 53, 80, 443, 3000]) to(p, h);"
             "to('\\0" +
             name + "'); to('/run/docker.sock'); to('/run/systemd/private'); to('" +
             place.server().working_dir().native() + "/x.sock');",
         ends, "all closed"},
        {"const s = require('http').createServer(() => {}); s.on('error', (e) => console.log('no', e.code)); s.listen(3000, () => console.log('ALLOWED'));"
         " setTimeout(() => process.exit(0), 500);",
         ends, "no "},
        {"try { const s = require('dgram').createSocket('udp4'); s.on('error', (e) => { console.log('no', e.code); process.exit(0); });"
         " s.send('x', 53, '8.8.8.8', (e) => { console.log(e ? 'no ' + e.code : 'ALLOWED'); process.exit(0); }); } catch (e) { console.log('no', e.code); process.exit(0); }",
         ends, "no "},
        {"fetch('http://169.254.169.254/latest/meta-data/').then(() => console.log('ALLOWED'), () => console.log('no')).then(() => process.exit(0))",
         ends, "no"},
    };
    try_all(place, rows);
    ::close(listener);
}

TEST_CASE("what is sent to a program in a sandbox is its own business", "[hostile][sandboxes]")
{
    arena place{{.config = small_limits}};
    const std::string large(2'000'000, 'x');
    const std::vector<row> rows{
        {"console.log('unread')", ends, "unread", {}, {{"stdin", large}}},
        {"const fs = require('fs'); console.log(fs.readFileSync(0).length, fs.readFileSync('/proc/self/fd/0').length)",
         ends,
         "2000000",
         {},
         {{"stdin", large}}},
        {"const fs = require('fs'); try { fs.writeSync(0, 'x'); console.log('ALLOWED') } catch (e) { console.log(e.code) }",
         ends,
         "E",
         {},
         {{"stdin", "abc"}}},
        {"console.log(require('fs').readFileSync(0, 'utf8') === '\\0\\u00e4\\n')",
         ends,
         "true",
         {},
         {{"stdin", std::string{"\0\xc3\xa4\n", 4}}}},
        {"console.log(process.env.A.length, process.env.LD_PRELOAD)",
         {"exit", "signalled"},
         "",
         {{"env_vars", json::object{{"A", std::string(60'000, 'a')}, {"LD_PRELOAD", "/x.so"}}}}},
    };
    try_all(place, rows);
}

TEST_CASE("a client of a sandbox that goes away, or deletes it, ends whatever it does", "[hostile][sandboxes]")
{
    // Nothing else can end these in the time that the test has.
    arena place{{.config = R"("sandboxes": {"timeoutMs": 300000, "cpuSecs": 600, "outputBytes": 8388608})"}};
    const std::string codes[] = {
        "for (;;);",
        "for (const s of ['SIGTERM', 'SIGHUP']) process.on(s, () => {}); setInterval(() => {}, 1000);",
        "const {spawn} = require('child_process'); for (let i = 0; i < 3; ++i) spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'],"
        " {detached: true, stdio: 'inherit'}).on('error', () => {}); setInterval(() => {}, 1000);",
        "setInterval(() => console.log('x'.repeat(1000)), 1);",
    };
    for (const auto& runtime : runtimes_of(place)) {
        for (const auto& code : codes) {
            for (const bool deleted : {false, true}) {
                for (const char* accept : {"*/*", "text/event-stream"}) {
                    attack();
                    INFO(runtime << " " << code << " " << deleted << " " << accept);
                    const auto id = make(place, runtime, {code, {}});
                    auto client = place.connect();
                    client.start_post("/sandbox/" + id + "/execute", json::object{}, {{"Accept", accept}});
                    REQUIRE(eventually([&] { return place.job_processes().size() >= 2; }));
                    if (deleted) {
                        remove(place, id);
                        CHECK(place.job_processes().empty());
                    } else {
                        client.close();
                        CHECK(eventually([&] { return place.job_processes().empty(); }));
                        remove(place, id);
                    }
                }
            }
        }
        honest(place, runtime);
    }
    place.nothing_left(std::chrono::seconds{60});
}
