// Mixed traffic against the real server with the real compiler in the real jail, and one fault
// after the other meanwhile: killed jails, a full disk, no descriptors left, a toolchain that
// vanishes, a store that cannot be written, a server that stands still, a server that is killed and
// started again.
//
//     load_test [--seconds 100] [--seed N]
//
// What must hold: every request gets exactly one answer, well formed and the expected one, unless a
// fault is on that explains another; every artifact has the hash that was announced, to the end;
// after each fault the server recovers by itself; nothing is left of any job; memory and
// descriptors end where they began. The last line on standard output says so in figures; the exit
// status is 0 when nothing was violated.
#include "load/client.hpp"
#include "load/family.hpp"
#include "load/ground.hpp"
#include "load/world.hpp"
#include "support/eventually.hpp"
#include "support/held_toolchain.hpp"
#include "support/proc.hpp"
#include "support/server_process.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace sandboxd::test {

namespace {

namespace fs = std::filesystem;
using steady = std::chrono::steady_clock;

constexpr unsigned heavy_clients = 5;  // one more than there are jobs at once on two processors
constexpr unsigned light_clients = 4;
// How often a fault must have been felt before it is taken away.
constexpr unsigned wanted_effects = 3;
constexpr unsigned wanted_kills = 8;
constexpr std::size_t most_compared = 4;
constexpr std::size_t most_knocking = 64;
constexpr std::size_t log_shown = 6'000;
// A fault every so often.
constexpr auto longest_slot = std::chrono::seconds{20};

// What the server may keep beyond what it had after the warm-up: the allocator's free lists after
// the largest answers (a few hundred KiB each, for nine clients at once) and the store's cache (8
// MiB, filled in the warm-up only in part). A leak of 1 KiB a request would pass it within the two
// minutes. AddressSanitizer keeps what was freed in a quarantine.
[[maybe_unused]] constexpr std::size_t plain_tolerance_kib = 24 * 1024;
[[maybe_unused]] constexpr std::size_t quarantine_tolerance_kib = 512 * 1024;
#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t resident_tolerance_kib = quarantine_tolerance_kib;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr std::size_t resident_tolerance_kib = quarantine_tolerance_kib;
#else
constexpr std::size_t resident_tolerance_kib = plain_tolerance_kib;
#endif
#else
constexpr std::size_t resident_tolerance_kib = plain_tolerance_kib;
#endif

// Every compile leaves some 200 KiB of artifacts, compressed forms included.
std::uint64_t disk_bytes(std::int64_t seconds)
{
    constexpr std::uint64_t mib = 1024 * 1024;
    return (128 + 2 * static_cast<std::uint64_t>(seconds)) * mib;
}

const fault killed_jails{.name = "killed jails", .compile_codes = {"memory_limit", "compile_error", "unavailable"}};
const fault full_disk{.name = "a full disk", .compile_codes = {"io", "disk_limit"}};
const fault no_descriptors{
    .name = "no descriptors left", .compile_codes = {"io", "internal", "unavailable"}, .download_codes = {"io"}};
const fault no_toolchain_left{.name = "a vanished toolchain", .compile_codes = {"unavailable"}};
const fault read_only_store{.name = "a read-only store", .compile_codes = {"io"}};
const fault stopped_server{.name = "a server that stands still"};
const fault killed_server{.name = "a killed server", .cuts = true};

struct options {
    std::int64_t seconds{100};
    std::uint64_t seed{std::random_device{}()};
};

class director {
public:
    director(options how, ground& where);
    ~director();
    // The exit status.
    int run();

private:
    int direct();
    void start_server();
    void start_clients();
    void pass(std::chrono::seconds time) { std::this_thread::sleep_for(time); }  // traffic goes on

    // Stops all traffic, and waits until the server has nothing to do.
    void stand_still();
    void go_on() { world_.gate.open(); }
    bool settled();
    void nothing_left(std::string_view when);

    // One fault from its beginning to its end: `inject` returns false for as long as it is not yet
    // on, `feed` keeps it on until it was felt, `heal` ends it. Where `while_still`, all clients
    // stand still before it is healed; otherwise they could not until then.
    struct course {
        const fault* which;
        std::function<bool()> inject;
        std::function<bool()> feed;
        std::function<void()> heal;
        bool while_still{true};
    };
    void suffer(const course& one);
    std::vector<course> courses();
    void compare_what_was_published();
    bool honest_compile();
    void restart();
    void verify_all();
    void judge_log(const server_process& whose);
    void show_log(const server_process& whose);

    std::vector<pid_t> job_processes() const;
    std::vector<pid_t> tools() const;
    bool jails_are_built() const;
    static std::string names_of(const std::vector<pid_t>& processes);
    std::size_t descriptors_of_toolchain() const;
    std::size_t descriptors();
    std::size_t resident_kib() const;
    // Through the connection of the observer: no other may be possible.
    double accept_errors()
    {
        constexpr std::string_view sample = "\nsandboxd_http_accept_errors_total ";
        const auto text = observer_->get("/metrics").body;
        const auto at = text.find(sample);
        return at == std::string::npos ? 0 : std::stod(text.substr(at + sample.size()));
    }
    std::string proc(std::string_view name) const
    {
        return "/proc/" + std::to_string(server_->pid()) + "/" + std::string{name};
    }
    std::size_t effects() const { return world_.sky.effects(); }
    bool felt() const { return effects() >= wanted_effects; }
    void violation(const std::string& what) { world_.ledger.violation(what); }
    void say(const std::string& what)
    {
        const auto at = std::chrono::duration_cast<std::chrono::seconds>(steady::now() - began_).count();
        std::fprintf(stderr, "load: %4lld s: %s\n", static_cast<long long>(at), what.c_str());
    }

    options options_;
    ground& ground_;
    held_toolchain tools_;
    world world_;
    random_source random_;
    client own_;
    std::unique_ptr<server_process> server_;
    std::vector<std::thread> threads_;
    steady::time_point began_{steady::now()};
    std::uint64_t faults_{0};
    unsigned kills_{0};
    std::size_t descriptors_start_{0};
    rlim_t open_files_{0};
    double accept_errors_{0};
    std::vector<std::unique_ptr<http_client>> knocking_;
    std::unique_ptr<http_client> observer_;
};

director::director(options how, ground& where)
    : options_{how}, ground_{where}, random_{how.seed}, own_{world_, 0, temper::light}
{
    world_.seed = how.seed;
}

director::~director()
{
    world_.gate.finish();
    for (auto& one : threads_) one.join();
}

void director::start_server()
{
    server_options how;
    // Warnings are one line for each of the many requests that are refused.
    how.config = tools_.config() + R"(, "http": {"bodyTimeoutSecs": 8}, "log": {"level": "error"})";
    how.working_dir = ground_.path();
    server_ = std::make_unique<server_process>(std::move(how));
    world_.port = server_->port();
}

void director::start_clients()
{
    const auto start = [this](unsigned number, temper how) {
        threads_.emplace_back([this, number, how] { client{world_, number, how}.run(); });
    };
    for (unsigned i = 1; i <= heavy_clients; ++i) start(i, temper::heavy);
    for (unsigned i = 1; i <= light_clients; ++i) start(heavy_clients + i, temper::light);
}

std::vector<pid_t> director::job_processes() const
{
    reap_orphans(server_->pid());
    auto found = descendants(::getpid());
    std::erase(found, server_->pid());
    for (const auto one : tools()) std::erase(found, one);
    for (const auto& jail : jails_that_wait(server_->pid()))
        for (const auto one : jail) std::erase(found, one);
    return found;
}

// The compilers that the server keeps started.
std::vector<pid_t> director::tools() const
{
    std::vector<pid_t> found;
    for (const auto& [pid, row] : process_table())
        if (row.parent == server_->pid() && row.state != 'Z' &&
            text_of("/proc/" + std::to_string(pid) + "/comm") == "sandboxd-tool\n")
            found.push_back(pid);
    return found;
}

// Until a jail is built, the jail's own first process does not notice that the one which
// watches it has been killed: it waits forever, or runs its program to the end.
bool director::jails_are_built() const
{
    const auto table = process_table();
    const auto runs_a_program = [&](pid_t pid) {
        const auto name = text_of("/proc/" + std::to_string(pid) + "/comm");
        return name != "bwrap\n" && name != "sandboxd-build\n" && name != "sandboxd\n";
    };
    return std::all_of(table.begin(), table.end(), [&](const auto& jail) {
        if (jail.second.parent != server_->pid() || jail.second.state == 'Z') return true;
        return std::any_of(table.begin(), table.end(), [&](const auto& one) {
            return (one.first == jail.first || is_below(table, one.first, jail.first)) && runs_a_program(one.first);
        });
    });
}

// Of the compilers that are started, of jails that wait with them, and of known preambles, which may be more or fewer
// at any time.
std::size_t director::descriptors_of_toolchain() const
{
    constexpr std::size_t of_a_tool = 5;  // a socket, two pipes, and two pidfds
    return of_a_tool * tools().size() + descriptors_of_a_waiting_jail * jails_that_wait(server_->pid()).size() +
           static_cast<std::size_t>(server_->metric("sandboxd_compile_preambles_kept"));
}

// All others of a server that is settled.
std::size_t director::descriptors()
{
    const auto of_toolchain = descriptors_of_toolchain();
    eventually([this] { return settled(); });  // the question's own connection
    return names_in(proc("fd")).size() - of_toolchain;
}

std::size_t director::resident_kib() const
{
    const auto status = text_of(proc("status"));
    const auto at = status.find("VmRSS:");
    return at == std::string::npos ? 0 : std::stoul(status.substr(at + 6));
}

std::string director::names_of(const std::vector<pid_t>& processes)
{
    std::string what;
    for (const auto pid : processes)
        what += " process " + std::to_string(pid) + " (" + text_of("/proc/" + std::to_string(pid) + "/comm") + ")";
    return what;
}

// No job, no connection, no artifact that is still being compressed.
bool director::settled()
{
    if (!job_processes().empty() || !server_->job_directories().empty()) return false;
    const auto artifacts = (ground_.path() / "artifacts/").native();
    std::size_t sockets = 0;
    for (const auto& name : names_in(proc("fd"))) {
        std::error_code gone;
        const auto target = fs::read_symlink(proc("fd") + "/" + name, gone).native();
        if (target.starts_with(artifacts)) return false;
        if (target.starts_with("socket:")) ++sockets;
    }
    // The listener, one to each compiler that is started, and those of a jail that waits.
    return sockets <= 1 + tools().size() + 4 * jails_that_wait(server_->pid()).size();
}

void director::stand_still()
{
    world_.gate.close();
    own_.disconnect();
}

void director::nothing_left(std::string_view when)
{
    if (eventually([this] { return settled(); })) {
        const auto running = server_->metric("sandboxd_jobs_running");
        if (running != 0) violation("jobs are booked as running after " + std::string{when});
        // The question's own connection.
        eventually([this] { return settled(); });
        return;
    }
    std::string what = names_of(job_processes());
    for (const auto& name : server_->job_directories()) what += " job " + name;
    violation("left behind after " + std::string{when} + ":" + what +
              "; jobs running: " + std::to_string(server_->metric("sandboxd_jobs_running")) +
              ", connections beside this: " + std::to_string(server_->metric("sandboxd_http_connections") - 1));
}

bool director::honest_compile()
{
    http_client connection{*server_};
    const auto answer = connection.post("/compile", {{"code", "int main(void) { return 42; }\n"}, {"cache", false}});
    return answer.status == 200;
}

// What came out while a fault was on is whole: the same request gives the same again.
void director::compare_what_was_published()
{
    auto recent = world_.ledger.take_recent();
    std::shuffle(recent.begin(), recent.end(), random_);
    if (recent.size() > most_compared) recent.resize(most_compared);
    for (auto& one : recent) own_.compile_again(std::move(one.request));
    own_.disconnect();
}

void director::suffer(const course& one)
{
    const std::string name{one.which->name};
    world_.ledger.take_recent();
    observer_ = std::make_unique<http_client>(*server_);
    world_.sky.begin(*one.which);
    if (!eventually(one.inject)) violation(name + " could not be brought about");
    if (!eventually(one.feed)) violation(name + " was not felt");
    say(name + ": felt in " + std::to_string(effects()) + " answers");
    if (one.while_still) stand_still();
    one.heal();
    observer_.reset();
    if (!one.while_still) stand_still();
    if (!eventually([this] { return honest_compile(); })) violation("no recovery from " + name);
    nothing_left(name);
    world_.sky.end();
    compare_what_was_published();
    ++faults_;
    go_on();
}

std::vector<director::course> director::courses()
{
    std::vector<course> all;
    all.push_back({.which = &killed_jails,
                   .inject = [] { return true; },
                   .feed =
                       [this] {
                           const auto victims = descendants(server_->pid());
                           if (!victims.empty() && kill_below(victims[pick(random_, victims.size())], server_->pid()))
                               ++kills_;
                           return kills_ >= wanted_kills && felt();
                       },
                   .heal = [this] { kills_ = 0; }});
    all.push_back({.which = &no_descriptors,
                   .inject =
                       [this] {
                           // Enough for the connections that there are; hardly for a job.
                           rlimit now{};
                           ::prlimit(server_->pid(), RLIMIT_NOFILE, nullptr, &now);
                           open_files_ = now.rlim_cur;
                           now.rlim_cur = descriptors_of_toolchain() + descriptors_start_ + heavy_clients +
                                          light_clients + 2 + pick(random_, 5);
                           accept_errors_ = accept_errors();
                           return ::prlimit(server_->pid(), RLIMIT_NOFILE, &now, nullptr) == 0;
                       },
                   .feed =
                       [this] {
                           // Once jobs have failed, more and more are at the door, where the kernel
                           // lets them wait.
                           if (!felt()) return false;
                           if (knocking_.size() < most_knocking)
                               knocking_.push_back(std::make_unique<http_client>(*server_));
                           return accept_errors() > accept_errors_;
                       },
                   .heal =
                       [this] {
                           knocking_.clear();
                           rlimit now{};
                           ::prlimit(server_->pid(), RLIMIT_NOFILE, nullptr, &now);
                           now.rlim_cur = open_files_;
                           ::prlimit(server_->pid(), RLIMIT_NOFILE, &now, nullptr);
                       },
                   .while_still = false});
    all.push_back(
        {.which = &no_toolchain_left,
         .inject =
             [this] {
                 tools_.remove();
                 return true;
             },
         .feed = [this] { return felt() && observer_->get("/readyz").body.find("toolchain: ") != std::string::npos; },
         .heal = [this] { tools_.restore(); }});
    all.push_back({.which = &stopped_server,
                   .inject =
                       [this] {
                           server_->signal(SIGSTOP);
                           return true;
                       },
                   // Everybody waits for it.
                   .feed = [this] { return world_.ledger.waiting == heavy_clients + light_clients; },
                   .heal = [this] { server_->signal(SIGCONT); },
                   .while_still = false});
    if (!ground_.why_not().empty()) return all;
    all.push_back({.which = &full_disk,
                   .inject = [this] { return ground_.fill(); },
                   .feed = [this] { return ground_.fill() && felt(); },
                   .heal = [this] { ground_.free(); }});
    all.push_back({.which = &read_only_store,
                   .inject = [this] { return ground_.make_read_only(); },
                   .feed = [this] { return felt(); },
                   .heal = [this] { ground_.make_writable(); }});
    return all;
}

void director::verify_all()
{
    for (const auto& one : world_.ledger.all()) own_.download(one);
    own_.disconnect();
}

void director::show_log(const server_process& whose)
{
    const auto log = whose.log();
    const auto end = log.substr(log.size() - std::min(log.size(), log_shown));
    std::fprintf(stderr, "load: the server's log ends:\n%s", end.c_str());
}

void director::judge_log(const server_process& whose)
{
    const auto log = whose.log();
    for (const std::string_view bad : {"a handler threw", "AddressSanitizer", "runtime error:", "terminate called"}) {
        if (const auto at = log.find(bad); at != std::string::npos)
            violation("the server's log has: " + log.substr(at, 2000));
    }
    if (world_.ledger.violations() > 0) show_log(whose);
}

// SIGKILL with jobs under way, and a new server on the same directory.
void director::restart()
{
    world_.sky.begin(killed_server);
    if (!eventually([this] { return !server_->job_directories().empty() && !job_processes().empty(); }))
        violation("there was no job to kill the server in");
    world_.port = 0;
    server_->signal(SIGSTOP);  // so that no further jail is begun
    if (!eventually([this] { return jails_are_built(); })) violation("a jail is never built");
    server_->signal(SIGKILL);
    server_->wait();
    stand_still();
    if (!eventually([this] { return job_processes().empty(); }))
        violation("processes of jobs outlive a server that was killed:" + names_of(job_processes()));
    say("killed the server: " + std::to_string(server_->job_directories().size()) + " job directories were left");
    judge_log(*server_);
    start_server();
    world_.sky.end();
    nothing_left("the restart");
    for (const auto& name : names_in(ground_.path() / "artifacts")) {
        if (name.starts_with('.')) violation("left in the store: " + name);
    }
    verify_all();
    ++faults_;
    go_on();
}

int director::run()
{
    try {
        return direct();
    } catch (const std::exception& e) {
        std::fprintf(stderr, "load: ended by: %s\n", e.what());
    }
    if (server_) show_log(*server_);
    return 1;
}

int director::direct()
{
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    start_server();
    began_ = steady::now();
    const auto end = began_ + std::chrono::seconds{options_.seconds};
    auto cycle = courses();
    const auto slot = std::min<std::chrono::milliseconds>(
        longest_slot, std::chrono::milliseconds{options_.seconds * 1000} / (cycle.size() + 3));
    start_clients();

    // Warm-up: what the first requests of each kind take for good belongs to the base line.
    std::this_thread::sleep_for(2 * slot);
    stand_still();
    nothing_left("the warm-up");
    verify_all();
    nothing_left("the warm-up");
    descriptors_start_ = descriptors();
    const auto resident_start = resident_kib();
    say("warm: " + std::to_string(world_.ledger.sent) + " requests, " + std::to_string(resident_start) + " KiB, " +
        std::to_string(descriptors_start_) + " descriptors");
    go_on();

    auto next = steady::now();
    for (bool all_done = false; !all_done || steady::now() < end;) {
        std::shuffle(cycle.begin(), cycle.end(), random_);
        for (const auto& one : cycle) {
            if (all_done && steady::now() >= end) break;
            next += slot;
            std::this_thread::sleep_until(std::min(next, end));
            suffer(one);
        }
        all_done = true;
    }

    stand_still();
    nothing_left("all faults");
    verify_all();
    nothing_left("all faults");
    eventually([this] { return descriptors() <= descriptors_start_; });
    const auto descriptors_end = descriptors();
    const auto resident_end = resident_kib();
    if (descriptors_end > descriptors_start_)
        violation("descriptors: " + std::to_string(descriptors_start_) + " became " + std::to_string(descriptors_end));
    if (resident_end > resident_start + resident_tolerance_kib)
        violation("KiB of memory: " + std::to_string(resident_start) + " became " + std::to_string(resident_end));
    go_on();
    restart();

    // And the new one serves.
    const auto answered = world_.ledger.answered.load();
    if (!eventually([&] { return world_.ledger.answered > answered + 200; }))
        violation("the new server does not serve");
    world_.gate.close();
    world_.gate.finish();
    for (auto& one : threads_) one.join();
    threads_.clear();
    nothing_left("everything");
    verify_all();
    const auto ended = server_->stop();
    if (!ended.exited || ended.code != 0) violation("SIGTERM: exit status or signal " + std::to_string(ended.code));
    if (!job_processes().empty()) violation("processes are left at the end");
    judge_log(*server_);

    const auto& ledger = world_.ledger;
    const auto lost = ledger.sent - ledger.answered - ledger.cut;
    say("answers: " + ledger.tally());
    if (!ground_.why_not().empty()) say("left out: a full disk, a read-only store (" + ground_.why_not() + ")");
    std::printf(
        "load: seconds=%lld seed=%llu requests=%llu compiles=%llu downloads=%llu abandoned=%llu "
        "cut_by_kill=%llu faults=%llu answers_lost=%llu hash_errors=%llu violations=%llu "
        "rss_kb_start=%zu rss_kb_end=%zu fds_start=%zu fds_end=%zu\n",
        static_cast<long long>(std::chrono::duration_cast<std::chrono::seconds>(steady::now() - began_).count()),
        static_cast<unsigned long long>(options_.seed), static_cast<unsigned long long>(ledger.sent),
        static_cast<unsigned long long>(ledger.compiles), static_cast<unsigned long long>(ledger.downloads),
        static_cast<unsigned long long>(ledger.abandoned), static_cast<unsigned long long>(ledger.cut),
        static_cast<unsigned long long>(faults_), static_cast<unsigned long long>(lost),
        static_cast<unsigned long long>(ledger.hash_errors), static_cast<unsigned long long>(ledger.violations()),
        resident_start, resident_end, descriptors_start_, descriptors_end);
    return ledger.violations() == 0 && lost == 0 ? 0 : 1;
}

int usage()
{
    std::fprintf(stderr, "load_test [--seconds N] [--seed N]\n");
    return 2;
}

}  // namespace

}  // namespace sandboxd::test

int main(int count, char** words)
{
    using namespace sandboxd::test;
    options how;
    try {
        for (int i = 1; i < count; i += 2) {
            const std::string_view name{words[i]};
            if (i + 1 == count) return usage();
            if (name == "--seconds") {
                how.seconds = std::stoll(words[i + 1]);
            } else if (name == "--seed") {
                how.seed = std::stoull(words[i + 1]);
            } else {
                return usage();
            }
        }
    } catch (const std::exception&) {
        return usage();
    }
    if (how.seconds < 1) return usage();
    std::fprintf(stderr, "load: --seconds %lld --seed %llu\n", static_cast<long long>(how.seconds),
                 static_cast<unsigned long long>(how.seed));
    try {
        ground where{disk_bytes(how.seconds)};
        if (!where.why_not().empty())
            std::fprintf(stderr, "load: no full disk and no read-only store here: %s\n", where.why_not().c_str());
        director all{how, where};
        return all.run();
    } catch (const std::exception& e) {
        std::fprintf(stderr, "load: %s\n", e.what());
        return 1;
    }
}
