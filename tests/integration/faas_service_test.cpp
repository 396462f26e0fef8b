// Deployments in real jails, without HTTP: programs are started once for all who ask, hidden from each other,
// stopped when idle, and can do nothing to the init above them.
#include "faas/service.hpp"
#include "jail/jail.hpp"
#include "process/child.hpp"
#include "support/proc.hpp"
#include "support/run_service.hpp"
#include "support/temporary_directory.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <unistd.h>

#include <array>
#include <csignal>
#include <exception>
#include <fstream>
#include <functional>
#include <optional>
#include <string>

namespace asio = boost::asio;
using namespace sandboxd;
using namespace sandboxd::test;
using faas::status;
using std::chrono::milliseconds;

namespace {

constexpr const char* hello =
    "require('http').createServer((q, r) => r.end('hello ' + q.url)).listen(process.env.PORT);";

// A service with its loop; `run` drives a coroutine to its end and then shuts everything down.
class ground {
public:
    ground()
    {
        process::prepare_this_process();
        std::filesystem::create_directories(own_ / "jobs");
        jail::jail_settings wanted;
        wanted.jobs_directory = own_ / "jobs";
        asio::co_spawn(io_, jail::choose(wanted), [this](std::exception_ptr, result<std::unique_ptr<jail::jail>> got) {
            if (got)
                wall_ = std::move(*got);
            else
                why_ = got.error().message;
        });
        io_.run();
        io_.restart();
        std::filesystem::permissions(own_.path(), static_cast<std::filesystem::perms>(0755));
        how_.root = own_ / "deployments";
        how_.init = SANDBOXD_INIT;
        how_.limits = {.tmp_bytes = 16 << 20, .open_files = 512, .processes = 64};
        how_.start_timeout = milliseconds{20'000};
        how_.life.first_pause = milliseconds{20};
        how_.life.most_crashes = 3;
    }

    bool usable() const
    {
        if (!wall_) WARN("skipped: no jail works here: " + why_);
        if (::access("/usr/bin/node", X_OK) != 0) WARN("skipped: there is no /usr/bin/node");
        return wall_ && ::access("/usr/bin/node", X_OK) == 0;
    }

    void run(std::function<asio::awaitable<void>(faas::service&)> body)
    {
        metrics::registry metrics;
        async::task_group tasks{io_.get_executor()};
        faas::installer_settings packages;
        packages.root = own_ / "packages";
        const programs::catalog catalog{io_.get_executor(), tasks, *wall_,
                                        programs::runtimes_of({.node = "/usr/bin/node"})};
        faas::service service{io_.get_executor(), tasks, *wall_, catalog, how_, packages, metrics};
        const auto thrown = test::run_service(io_, service, body);
        CHECK(tasks.size() == 0);
        CHECK(children().empty());
        exposed_ = metrics.expose();
        if (thrown) std::rethrow_exception(thrown);
    }

    bool counted(const std::string& sample) const { return exposed_.find("\n" + sample + "\n") != std::string::npos; }

    faas::service_settings how_;
    temporary_directory own_;

private:
    asio::io_context io_;
    std::unique_ptr<jail::jail> wall_;
    std::string why_;
    std::string exposed_;
};

faas::deploy_request node_program(std::string code)
{
    faas::deploy_request made;
    made.runtime = "node";
    made.code = std::move(code);
    return made;
}

asio::awaitable<faas::deployment_info> deployed(faas::service& service, std::string code)
{
    async::stop_source stop;
    auto what = node_program(std::move(code));
    auto made = co_await service.deploy(std::move(what), stop);
    if (!made) throw std::runtime_error(made.error().message);
    co_return *made;
}

// The whole answer to one GET; "error: …" when there is none.
asio::awaitable<std::string> fetched(faas::service& service, std::string id, std::string target = "/")
{
    async::stop_source stop;
    auto place = co_await service.enter(id, {}, stop);
    if (!place) co_return "error: " + std::string{name(place.error().code)};
    auto socket = co_await place->connect(stop);
    if (!socket) co_return "error: " + std::string{name(socket.error().code)};
    const std::string asked = "GET " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    std::string answer;
    const auto [write_ec, written] =
        co_await asio::async_write(*socket, asio::buffer(asked), asio::as_tuple(asio::use_awaitable));
    const auto [read_ec, got] =
        co_await asio::async_read(*socket, asio::dynamic_buffer(answer), asio::as_tuple(asio::use_awaitable));
    static_cast<void>(written);
    static_cast<void>(got);
    if (write_ec) co_return "error: not sent";
    if (read_ec && read_ec != asio::error::eof && read_ec != asio::error::connection_reset) co_return "error: not read";
    const auto body = answer.find("\r\n\r\n");
    co_return body == std::string::npos ? "error: no answer" : answer.substr(body + 4);
}

asio::awaitable<bool> becomes(faas::service& service, std::string id, status wanted)
{
    asio::steady_timer timer{co_await asio::this_coro::executor};
    for (int i = 0; i < 6'000; ++i) {
        const auto now = service.find(id);
        if (now && now->status == wanted) co_return true;
        timer.expires_after(milliseconds{10});
        co_await timer.async_wait(asio::use_awaitable);
    }
    co_return false;
}

asio::awaitable<bool> started_again(faas::service& service, std::string id)
{
    asio::steady_timer timer{co_await asio::this_coro::executor};
    for (int i = 0; i < 6'000; ++i) {
        const auto now = service.find(id);
        if (now && now->starts > 1 && now->status == status::running) co_return true;
        timer.expires_after(milliseconds{10});
        co_await timer.async_wait(asio::use_awaitable);
    }
    co_return false;
}

std::string log_of(const faas::service& service, const std::string& id)
{
    std::string all;
    const auto lines = service.logs(id, 0, 1'000);
    if (lines)
        for (const auto& line : *lines) all += line.text + "\n";
    return all;
}

faas::update_request change(std::vector<faas::deployment_file> files, bool restart)
{
    return {std::move(files), restart, {}};
}

}  // namespace

TEST_CASE("a program is started once for all who ask, and again after it was idle", "[faas]")
{
    ground on;
    if (!on.usable()) SKIP("see above");
    on.run([](faas::service& service) -> asio::awaitable<void> {
        async::stop_source stop;
        auto what = node_program(hello);
        what.idle = milliseconds{1};
        const auto made = co_await service.deploy(std::move(what), stop);
        REQUIRE(made.has_value());
        CHECK(made->status == status::running);
        const auto first = co_await fetched(service, made->id, "/a");
        CHECK(first == "hello /a");
        const bool stopped = co_await becomes(service, made->id, status::stopped);
        REQUIRE(stopped);
        // Ten at once.
        const auto executor = co_await asio::this_coro::executor;
        async::task_group many{executor};
        int answered = 0;
        const auto ask = [](faas::service& s, std::string id, int& count) -> asio::awaitable<void> {
            const auto text = co_await fetched(s, id, "/b");
            if (text == "hello /b") ++count;
        };
        for (int i = 0; i < 10; ++i) many.spawn("ask", ask(service, made->id, answered));
        co_await many.wait_empty();
        CHECK(answered == 10);
        const auto now = service.find(made->id);
        REQUIRE(now);
        CHECK(now->starts == 2);
    });
    CHECK(on.counted("sandboxd_faas_starts_total 2"));
}

TEST_CASE("deployments are there again after a restart, and gone after their removal", "[faas]")
{
    ground on;
    if (!on.usable()) SKIP("see above");
    std::string id;
    on.run([&id](faas::service& service) -> asio::awaitable<void> {
        const auto made = co_await deployed(service, hello);
        id = made.id;
    });
    on.run([&id](faas::service& service) -> asio::awaitable<void> {
        const auto found = service.find(id);
        REQUIRE(found);
        CHECK(found->status == status::stopped);
        const auto of_sandbox = co_await service.by_sandbox(found->sandbox_id);
        REQUIRE(of_sandbox.has_value());
        CHECK(*of_sandbox == id);
        const auto text = co_await fetched(service, id, "/c");
        CHECK(text == "hello /c");
        const auto removed = co_await service.remove(id);
        CHECK(removed.has_value());
        CHECK_FALSE(service.find(id));
        const auto gone = co_await fetched(service, id);
        CHECK(gone == "error: not_found");
        const auto again = co_await service.remove(id);
        CHECK(again.error().code == errc::not_found);
        CHECK(children().empty());
    });
    CHECK(names_in(on.own_ / "deployments").empty());
}

TEST_CASE("a Unix socket will do", "[faas]")
{
    ground on;
    if (!on.usable()) SKIP("see above");
    on.run([](faas::service& service) -> asio::awaitable<void> {
        const auto made = co_await deployed(
            service, "require('http').createServer((q, r) => r.end('unix')).listen(process.env.SOCKET_PATH)");
        CHECK(made.status == status::running);
        const auto text = co_await fetched(service, made.id);
        CHECK(text == "unix");
    });
}

TEST_CASE("crashes are counted, paused and given up; the log says what happened", "[faas]")
{
    ground on;
    if (!on.usable()) SKIP("see above");
    on.run([](faas::service& service) -> asio::awaitable<void> {
        const auto bad = co_await deployed(service, "console.error('no luck'); process.exit(3)");
        CHECK(bad.status == status::crashed);
        CHECK(bad.last_exit == "exit 3");
        const bool failed = co_await becomes(service, bad.id, status::failed);
        CHECK(failed);
        CHECK(service.find(bad.id)->restarts == 3);
        CHECK(log_of(service, bad.id).find("no luck") != std::string::npos);
        const auto refused = co_await fetched(service, bad.id);
        CHECK(refused == "error: start_failed");

        const auto done = co_await deployed(service, "console.log('only this')");
        CHECK(done.status == status::completed);
        CHECK(done.message.find("without listening") != std::string::npos);

        // One that falls over under a request is started again.
        const auto falls = co_await deployed(
            service,
            "require('http').createServer((q, r) => q.url === '/die' ? process.kill(process.pid, 'SIGKILL')"
            " : r.end('up')).listen(process.env.PORT)");
        const auto died = co_await fetched(service, falls.id, "/die");
        CHECK(died == "error: no answer");
        const bool back = co_await started_again(service, falls.id);
        CHECK(back);
        const auto text = co_await fetched(service, falls.id);
        CHECK(text == "up");
        CHECK(service.find(falls.id)->last_exit == "signal 9");
    });
}

TEST_CASE("a start has a deadline", "[faas]")
{
    ground on;
    if (!on.usable()) SKIP("see above");
    on.how_.start_timeout = milliseconds{500};
    on.run([](faas::service& service) -> asio::awaitable<void> {
        const auto never = co_await deployed(service, "setInterval(() => {}, 1000)");
        CHECK(never.status == status::crashed);
        CHECK(never.message.find("was not reachable in 500 ms") != std::string::npos);
    });
}

TEST_CASE("updates are seen at once, and a restart keeps the old one until the new one is reachable", "[faas]")
{
    ground on;
    if (!on.usable()) SKIP("see above");
    on.run([](faas::service& service) -> asio::awaitable<void> {
        async::stop_source stop;
        const auto made =
            co_await deployed(service,
                              "require('http').createServer((q, r) => r.end(require('fs').readFileSync('data.txt')))"
                              ".listen(process.env.PORT)");
        std::vector<faas::deployment_file> data{{"data.txt", "one"}};
        auto done = co_await service.update(made.id, change(data, false), stop);
        REQUIRE(done.has_value());
        auto text = co_await fetched(service, made.id);
        CHECK(text == "one");
        // All or none.
        std::vector<faas::deployment_file> bad{{"data.txt", "two"}, {"../evil", "x"}};
        const auto refused = co_await service.update(made.id, change(bad, false), stop);
        CHECK(refused.error().code == errc::invalid_request);
        text = co_await fetched(service, made.id);
        CHECK(text == "one");
        std::vector<faas::deployment_file> broken{{"index.js", "process.exit(4)"}};
        done = co_await service.update(made.id, change(broken, true), stop);
        REQUIRE(done.has_value());
        CHECK_FALSE(done->restarted);
        CHECK(done->restart_error.value().code == errc::start_failed);
        CHECK(done->restart_error->message.find("exit 4") != std::string::npos);
        text = co_await fetched(service, made.id);
        CHECK(text == "one");
        std::vector<faas::deployment_file> good{{"index.js", hello}};
        done = co_await service.update(made.id, change(good, true), stop);
        REQUIRE(done.has_value());
        CHECK(done->restarted);
        text = co_await fetched(service, made.id, "/new");
        CHECK(text == "hello /new");
    });
}

TEST_CASE("a program sees itself alone, and cannot reach its init", "[faas][hostile]")
{
    ground on;
    if (!on.usable()) SKIP("see above");
    on.run([](faas::service& service) -> asio::awaitable<void> {
        const auto other = co_await deployed(service, hello);
        const auto made = co_await deployed(service, R"js(
const fs = require('fs'), net = require('net'), os = require('os');
const out = {};
const attempt = (name, act) => { try { out[name] = String(act()); } catch (e) { out[name] = e.code || String(e); } };
attempt('fds', () => fs.readdirSync('/proc/1/fd'));
attempt('mem', () => fs.openSync('/proc/1/mem', 'r+'));
attempt('environ', () => fs.readFileSync('/proc/1/environ'));
attempt('own', () => fs.readdirSync('/proc/self/fd').filter(f => { try { return fs.readlinkSync('/proc/self/fd/' + f).startsWith('socket:') && f === '9'; } catch { return false; } }).length);
attempt('kill', () => { process.kill(1, 'SIGKILL'); process.kill(1, 'SIGSTOP'); return 'sent'; });
attempt('interfaces', () => Object.keys(os.networkInterfaces()));
attempt('write', () => fs.writeFileSync('/srv/app/x', 'x'));
attempt('others', () => fs.readdirSync('/proc').filter(p => /^\d+$/.test(p)).length <= 4);
const probe = (name, port, host) => new Promise(done => {
    const s = net.connect({port, host, timeout: 2000});
    const end = v => { out[name] = v; s.destroy(); done(); };
    s.on('connect', () => end('connected')); s.on('error', e => end(e.code)); s.on('timeout', () => end('ETIMEDOUT'));
});
(async () => {
    await probe('metadata', 80, '169.254.169.254');
    await probe('internet', 80, '192.0.2.1');
    let open = 0;
    for (let p = 1; p < 200; ++p) { await probe('scan', p, '127.0.0.1'); if (out.scan === 'connected') ++open; }
    out.open = open;
    require('http').createServer((q, r) => r.end(JSON.stringify(out))).listen(process.env.PORT);
})();
)js");
        CHECK(made.status == status::running);
        const auto text = co_await fetched(service, made.id);
        CAPTURE(text);
        CHECK(text.find(R"("fds":"EACCES")") != std::string::npos);
        CHECK(text.find(R"("mem":"EACCES")") != std::string::npos);
        CHECK(text.find(R"("environ":"EACCES")") != std::string::npos);
        CHECK(text.find(R"("own":"0")") != std::string::npos);
        CHECK(text.find(R"("interfaces":"lo")") != std::string::npos);
        CHECK(text.find(R"("write":"EROFS")") != std::string::npos);
        CHECK(text.find(R"("others":"true")") != std::string::npos);
        CHECK(text.find(R"("metadata":"ENETUNREACH")") != std::string::npos);
        CHECK(text.find(R"("internet":"ENETUNREACH")") != std::string::npos);
        CHECK(text.find(R"("open":0)") != std::string::npos);
        // The init has not been stopped by it.
        const auto again = co_await fetched(service, made.id);
        CHECK(again == text);
        const auto fine = co_await fetched(service, other.id, "/x");
        CHECK(fine == "hello /x");
    });
}

TEST_CASE("who ignores SIGTERM or floods the log is contained", "[faas][hostile]")
{
    ground on;
    if (!on.usable()) SKIP("see above");
    on.how_.stop_grace = milliseconds{50};
    on.how_.log_bytes = 4096;
    on.how_.log_bytes_per_sec = 64 * 1024;
    on.run([](faas::service& service) -> asio::awaitable<void> {
        async::stop_source stop;
        auto stubborn =
            node_program(std::string{"process.on('SIGTERM', () => {}); process.on('SIGHUP', () => {});"} + hello);
        stubborn.idle = milliseconds{1};
        const auto made = co_await service.deploy(std::move(stubborn), stop);
        REQUIRE(made.has_value());
        const bool stopped = co_await becomes(service, made->id, status::stopped);
        CHECK(stopped);

        const auto flood = co_await deployed(
            service,
            std::string{"const line = 'x'.repeat(1000) + '\\n'; const more = () => process.stdout.write(line, more);"
                        "for (let i = 0; i < 100; ++i) more();"} +
                hello);
        CHECK(flood.status == status::running);
        CHECK(log_of(service, flood.id).size() <= 4096);
        const auto removed = co_await service.remove(flood.id);
        CHECK(removed.has_value());
    });
}

TEST_CASE("a program that listens elsewhere is told where, in its log and as the failure", "[faas]")
{
    ground on;
    if (!on.usable()) SKIP("see above");
    on.run([](faas::service& service) -> asio::awaitable<void> {
        for (const auto& [listen, place] :
             {std::pair{"http.listen(8080)", "0.0.0.0:8080"},
              std::pair{"http.listen(8081, '127.0.0.1')", "127.0.0.1:8081"},
              std::pair{"http.listen(3000, '127.0.0.2')", "127.0.0.2:3000"},
              std::pair{"http.listen(8082, '::1')", "[::1]:8082"},
              std::pair{"http.listen('/tmp/mine.sock'); require('dgram').createSocket('udp4').bind(8083, '127.0.0.1')",
                        "UDP 127.0.0.1:8083, a Unix socket that is not SOCKET_PATH"}}) {
            const auto wrong =
                co_await deployed(service, "const http = require('http').createServer((q, r) => r.end('x')); " +
                                               std::string{listen} + ";");
            CAPTURE(listen, wrong.message);
            // node listens on all addresses by IPv6 where it can.
            const std::string either = std::string{place} == "0.0.0.0:8080" ? "[::]:8080" : place;
            const auto names = [&](const std::string& text) {
                return text.find(place) != std::string::npos || text.find(either) != std::string::npos;
            };
            CHECK(names(wrong.message));
            CHECK(wrong.message.find("PORT") != std::string::npos);
            CHECK(wrong.fault == errc::start_failed);
            CHECK(names(log_of(service, wrong.id)));
            const auto removed = co_await service.remove(wrong.id);
            CHECK(removed.has_value());
        }
    });
}

TEST_CASE("an init, and a runtime, that cannot be executed are the server's failure", "[faas]")
{
    ground on;
    if (!on.usable()) SKIP("see above");
    const auto init = on.own_ / "init";
    std::ofstream{init} << "no program";
    on.how_.init = init;
    on.run([](faas::service& service) -> asio::awaitable<void> {
        const auto made = co_await deployed(service, hello);
        CAPTURE(made.message);
        CHECK(made.fault == errc::unavailable);
        CHECK(made.last_exit.empty());
    });
}

TEST_CASE("init has descriptors left where its program may open few", "[faas]")
{
    ground on;
    if (!on.usable()) SKIP("see above");
    on.how_.limits.open_files = 64;
    on.run([](faas::service& service) -> asio::awaitable<void> {
        async::stop_source stop;
        // It accepts nothing until a file is there.
        const auto made = co_await deployed(
            service,
            "const fs = require('fs'); const s = require('http').createServer((q, r) => r.end('x'));"
            "s.listen({port: process.env.PORT, host: '127.0.0.1', backlog: 1}, () => { const wait = new Int32Array(new "
            "SharedArrayBuffer(4)); while (!fs.existsSync('go')) Atomics.wait(wait, 0, 0, 10); });");
        REQUIRE(made.status == status::running);
        const auto executor = co_await asio::this_coro::executor;
        async::task_group many{executor};
        int answered = 0;
        std::string refused;
        const auto ask = [](faas::service& s, std::string id, async::stop_source& by, int& count,
                            std::string& why) -> asio::awaitable<void> {
            auto place = co_await s.enter(id, {}, by);
            if (!place) co_return;
            auto socket = co_await place->connect(by);
            if (socket)
                ++count;
            else if (socket.error().message.find("files") != std::string::npos)
                why = socket.error().message;
        };
        for (int i = 0; i < 120; ++i) many.spawn("ask", ask(service, made.id, stop, answered, refused));
        std::vector<faas::deployment_file> go{{"go", ""}};
        const auto updated = co_await service.update(made.id, change(std::move(go), false), stop);
        CHECK(updated.has_value());
        co_await many.wait_empty();
        CHECK(refused.empty());
        CHECK(answered > 0);
        CHECK(log_of(service, made.id).find("EMFILE") == std::string::npos);
    });
}

TEST_CASE("requests in one deployment are bounded", "[faas]")
{
    ground on;
    if (!on.usable()) SKIP("see above");
    on.how_.max_requests = 1;
    on.run([](faas::service& service) -> asio::awaitable<void> {
        async::stop_source stop;
        const auto made = co_await deployed(service, hello);
        {
            const auto first = co_await service.enter(made.id, {}, stop);
            CHECK(first.has_value());
            const auto second = co_await service.enter(made.id, {}, stop);
            REQUIRE(second.has_error());
            CHECK(second.error().code == errc::too_many_requests);
        }
        const auto third = co_await service.enter(made.id, {}, stop);
        CHECK(third.has_value());
    });
}
