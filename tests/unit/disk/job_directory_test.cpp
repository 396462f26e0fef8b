#include "disk/job_directory.hpp"

#include "disk/remove_tree.hpp"
#include "support/files.hpp"
#include "support/on_loop.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <linux/fs.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>

using namespace sandboxd;
using namespace sandboxd::disk;
using namespace sandboxd::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr uid_t nobody = 65534;

mode_t mode_of(const fs::path& path)
{
    struct stat status{};
    return ::lstat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

bool can_write(const fs::path& path)
{
    const unique_fd file{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)};
    return static_cast<bool>(file);
}

bool can_list(const fs::path& path)
{
    const unique_fd file{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    return static_cast<bool>(file);
}

// A chain of directories, each in the one before, with names so long that no path reaches the end.
void make_chain(const fs::path& top, int depth)
{
    const std::string name(200, 'd');
    auto here = open_directory(top);
    for (int i = 0; i < depth; ++i) {
        REQUIRE(::mkdirat(here.get(), name.c_str(), 0700) == 0);
        here.reset(::openat(here.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        REQUIRE(here);
    }
    const unique_fd file{::openat(here.get(), "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
    REQUIRE(file);
}

used_space usage_of(const job_directory& job, tree_caps caps = {}, pid_t leader = 0)
{
    async::turns turn;
    return test::on_loop(job.usage(caps, leader, turn));
}

job_directory make(const temporary_directory& root, std::string_view id = "job")
{
    auto made = job_directory::create(root / "jobs", id);
    REQUIRE(made);
    return std::move(*made);
}

}  // namespace

TEST_CASE("a job directory has its modes whatever the umask, and goes with its object")
{
    const temporary_directory root;
    const auto umask = ::umask(GENERATE(mode_t{0077}, mode_t{0}));
    const bool owned = is_root();
    std::optional<job_directory::owner> owner;
    if (owned) owner = {nobody, nobody};
    const auto create = [&] {
        auto made = job_directory::create(root / "jobs", "0123456789abcdef0123456789abcdef", owner);
        REQUIRE(made);
        return std::move(*made);
    };
    {
        auto job = create();
        CHECK(job.path().parent_path() == root / "jobs");
        CHECK(job.path().filename().native().starts_with("0123456789abcdef0123456789abcdef."));
        REQUIRE(job.write_source("inc/a.h", "int a;"));
        CHECK(mode_of(root / "jobs") == (owned ? 0710 : 0700));
        CHECK(mode_of(job.path()) == (owned ? 0710 : 0700));
        CHECK(mode_of(job.source_path()) == (is_root() ? 0755 : 0700));
        CHECK(mode_of(job.source_path() / "inc") == (is_root() ? 0755 : 0700));
        CHECK(mode_of(job.source_path() / "inc/a.h") == (is_root() ? 0644 : 0600));
        CHECK(mode_of(job.output_path()) == 0700);

        const auto other = create();
        CHECK(other.path() != job.path());
        auto moved = std::move(job);
        CHECK(fs::exists(moved.path()));
    }
    ::umask(umask);
    CHECK(names_in(root / "jobs").empty());
}

TEST_CASE("a job that runs as another user reads its sources, writes its output and nothing else; others nothing")
{
    if (!is_root()) SKIP("needs root");
    const temporary_directory root;
    fs::permissions(root.path(), static_cast<fs::perms>(0755));
    auto job = job_directory::create(root / "jobs", "job", job_directory::owner{nobody, nobody});
    REQUIRE(job);
    REQUIRE(job->write_source("a/b.h", "x"));
    CHECK(as_user(nobody, [&] { return read_file(job->source_path() / "a/b.h") == "x"; }));
    CHECK(as_user(nobody, [&] { return can_list(job->source_path()); }));
    CHECK(as_user(nobody, [&] { return can_write(job->output_path() / "app.js"); }));
    CHECK_FALSE(as_user(nobody, [&] { return can_write(job->source_path() / "a/b.h"); }));
    CHECK_FALSE(as_user(nobody, [&] { return can_write(job->source_path() / "new"); }));
    CHECK_FALSE(as_user(nobody, [&] { return can_write(job->path() / "new"); }));
    CHECK_FALSE(as_user(nobody, [&] { return can_list(job->path()); }));
    CHECK_FALSE(as_user(nobody, [&] { return can_list(root / "jobs"); }));
    for (const auto& path : {job->output_path(), job->source_path(), job->source_path() / "a", job->path()})
        CHECK_FALSE(as_user(nobody - 1, [&] { return can_list(path); }));
    CHECK_FALSE(as_user(nobody - 1, [&] { return read_file(job->source_path() / "a/b.h") == "x"; }));
    // Not even beyond the first wall.
    fs::permissions(root / "jobs", static_cast<fs::perms>(0755));
    CHECK_FALSE(as_user(nobody - 1, [&] { return can_list(job->source_path()); }));
}

TEST_CASE("create refuses odd ids and says why it cannot make a directory")
{
    const temporary_directory root;
    for (const std::string_view id : {"", "..", "a/b", "a.b", "a b"}) {
        INFO(id);
        CHECK(job_directory::create(root / "jobs", id).error().code == errc::internal);
    }
    write_file(root / "file", "");
    const auto refused = job_directory::create(root / "file" / "jobs", "job");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::io);
    CHECK_THAT(refused.error().message, ContainsSubstring((root / "file").native()));
}

TEST_CASE("a job directory moves below another root and takes another name")
{
    const temporary_directory place;
    const auto ready = place / "ready";
    const auto jobs = place / "jobs";
    auto made = job_directory::create(ready, "next");
    REQUIRE(made);
    const auto before = made->path();
    // Where it cannot go it stays as it is.
    CHECK_FALSE(made->move_to(jobs, "job"));
    CHECK(made->path() == before);
    fs::create_directory(jobs);
    CHECK_FALSE(made->move_to(jobs, "../job"));
    REQUIRE(made->move_to(jobs, "job"));
    CHECK_FALSE(fs::exists(before));
    CHECK(made->path().parent_path() == jobs);
    CHECK(made->path().filename().native().starts_with("job."));
    REQUIRE(made->write_source("a.c", "int a;\n"));
    CHECK(fs::exists(made->source_path() / "a.c"));
    REQUIRE(made->remove());
    CHECK(fs::is_empty(jobs));
}

TEST_CASE("write_source takes relative paths of plain components")
{
    const temporary_directory root;
    auto job = make(root);
    const std::string binary{"a\0b\xff", 4};
    REQUIRE(job.write_source("main.c", binary));
    REQUIRE(job.write_source("dir/with space/ünï.h", "x"));
    REQUIRE(job.write_source("dir/other.h", ""));
    CHECK(read_file(job.source_path() / "main.c") == binary);
    CHECK(read_file(job.source_path() / "dir/with space/ünï.h") == "x");

    const std::string deep = [] {
        std::string path;
        for (int i = 0; i < 16; ++i) path += "d/";
        return path + "f";
    }();
    for (const std::string& path :
         {std::string{}, std::string{"/etc/x"}, std::string{"../x"}, std::string{"a/../../x"}, std::string{"a//b"},
          std::string{"./a"}, std::string{"a/"}, std::string{"."}, std::string{"a\0b", 3}, std::string(256, 'a'),
          std::string(2000, 'a'), deep, std::string{"main.c"}, std::string{"main.c/x"}, std::string{"dir"}}) {
        INFO(path);
        const auto refused = job.write_source(path, "evil");
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == errc::invalid_request);
    }
    CHECK(read_file(job.source_path() / "main.c") == binary);
    CHECK(names_in(root.path()) == std::vector<std::string>{"jobs"});
}

TEST_CASE("usage counts blocks and names, and stops at its caps")
{
    const temporary_directory root;
    auto job = make(root);
    const auto out = job.output_path();
    CHECK(usage_of(job).inodes == 0);
    CHECK(usage_of(job).bytes == 0);

    write_file(out / "a", std::string(100'000, 'a'));
    fs::create_directories(out / "d/e");
    write_file(out / "d/e/b", std::string(100'000, 'b'));
    write_file(out / "sparse", "");
    fs::resize_file(out / "sparse", std::uint64_t{1} << 40);
    fs::create_symlink("/", out / "root");
    const auto used = usage_of(job);
    CHECK(used.over.empty());
    CHECK(used.inodes == 6);
    CHECK(used.bytes >= 200'000);
    CHECK(used.bytes < 400'000);

    CHECK_THAT(usage_of(job, {.max_bytes = 150'000}).over, ContainsSubstring("150000 bytes"));
    const auto stopped = usage_of(job, {.max_inodes = 3});
    CHECK_THAT(stopped.over, ContainsSubstring("3 files"));
    CHECK(stopped.inodes == 4);
    CHECK_THAT(usage_of(job, {.max_depth = 1}).over, ContainsSubstring("1 deep"));
    CHECK(usage_of(job, {.max_depth = 2}).over.empty());
}

TEST_CASE("usage counts what was deleted and is still open or mapped")
{
    const temporary_directory root;
    const auto job = make(root);
    const auto other = make(root, "other");
    constexpr std::size_t size = 1 << 20;
    const bool mapped = GENERATE(false, true);
    CAPTURE(mapped);
    int told[2];
    int hold[2];
    REQUIRE(::pipe2(told, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(hold, O_CLOEXEC) == 0);
    const auto child = ::fork();
    if (child == 0) {
        // As a job sees it: through a mount of its own.
        const auto place = root / "mounted";
        const bool apart = ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && ::mkdir(place.c_str(), 0700) == 0 &&
                           ::mount(job.output_path().c_str(), place.c_str(), nullptr, MS_BIND, nullptr) == 0;
        char answer = 'n';
        if (apart) {
            const auto path = place / "file";
            const int file = ::open(path.c_str(), O_RDWR | O_CREAT, 0600);
            const std::string bytes(size, 'x');
            if (::write(file, bytes.data(), size) == static_cast<ssize_t>(size) && ::unlink(path.c_str()) == 0)
                answer = 'y';
            if (mapped) {
                ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
                ::close(file);
            }
        }
        ::close(hold[1]);
        static_cast<void>(::write(told[1], &answer, 1));
        static_cast<void>(::read(hold[0], &answer, 1));
        ::_exit(0);
    }
    const unique_fd ends[] = {unique_fd{told[0]}, unique_fd{told[1]}, unique_fd{hold[0]}};
    char answer = 0;
    REQUIRE(::read(told[0], &answer, 1) == 1);
    const auto used = usage_of(job, {}, child);
    const auto capped = usage_of(job, {.max_bytes = size / 2}, child);
    const auto elsewhere = usage_of(other, {}, child);
    // The same process, when it is not this job's.
    const auto alone = usage_of(job);
    // Others beside it are not looked at, however many they are.
    const auto entries_now = [&] {
        async::turns turn{[] { return async::turns::clock::time_point{}; }};  // no turn ends
        static_cast<void>(test::on_loop(job.usage({}, child, turn)));
        return turn.most_entries();
    };
    const auto entries = entries_now();
    std::vector<pid_t> neighbours;
    for (int i = 0; i < 50; ++i) {
        neighbours.push_back(::fork());
        if (neighbours.back() == 0) {
            ::pause();
            ::_exit(0);
        }
    }
    const auto beside_others = entries_now();
    for (const auto neighbour : neighbours) {
        ::kill(neighbour, SIGKILL);
        ::waitpid(neighbour, nullptr, 0);
    }
    ::close(hold[1]);
    ::waitpid(child, nullptr, 0);
    if (answer != 'y') SKIP("no mount namespace can be made here");
    CHECK(used.inodes == 1);
    CHECK(used.bytes >= size);
    CHECK(used.bytes < 2 * size);
    CHECK(used.over.empty());
    CHECK_FALSE(capped.over.empty());
    CHECK(elsewhere.inodes == 0);
    CHECK(alone.inodes == 0);
    CHECK(entries > 0);
    CHECK(beside_others == entries);
    CHECK(usage_of(job, {}, child).inodes == 0);
}

TEST_CASE("what walks over a large tree rests after each turn")
{
    const temporary_directory root;
    auto job = make(root);
    constexpr std::size_t names = 300;
    for (std::size_t i = 0; i < names; ++i) write_file(job.output_path() / std::to_string(i), "x");

    // Each look at the clock takes 100 µs: a turn of 2 ms is over at the 20th entry.
    async::turns::clock::time_point now;
    const auto slow_clock = [&now] { return now += std::chrono::microseconds{100}; };
    {
        async::turns turn{slow_clock};
        CHECK(test::on_loop(job.usage({}, 0, turn)).inodes == names);
        CHECK(turn.most_entries() <= 20);
        CHECK(turn.taken() >= names / 20);
    }
    {
        async::turns turn{slow_clock};
        const auto parent = open_directory(root / "jobs");
        CHECK(test::on_loop(remove_tree_in_turns(parent.get(), job.path().filename().native(), turn)));
        CHECK(turn.most_entries() <= 20);
        CHECK(turn.taken() >= names / 20);
    }
    CHECK(names_in(root / "jobs").empty());
}

TEST_CASE("usage goes no deeper than it has descriptors for")
{
    const temporary_directory root;
    auto job = make(root);
    make_chain(job.output_path(), 100);
    CHECK_THAT(usage_of(job, {.max_inodes = 1'000'000, .max_depth = 1'000'000}).over, ContainsSubstring("64 deep"));
    CHECK(job.remove());
}

TEST_CASE("whatever a job leaves behind is removed, and nothing else")
{
    enum class way { at_once, in_turns, by_destructor };
    const auto how = GENERATE(way::at_once, way::in_turns, way::by_destructor);
    const temporary_directory root;
    fs::create_directory(root / "precious");
    write_file(root / "precious/file", "x");
    auto job = make(root);
    const auto out = job.output_path();
    const auto path = job.path();

    SECTION("a chain of directories deeper than PATH_MAX") { make_chain(out, 150); }
    SECTION("links to what is not its own")
    {
        fs::create_directory_symlink(root / "precious", out / "link");
        fs::create_directories(out / "d");
        fs::create_directory_symlink("../../../../precious", out / "d/link");
        fs::create_hard_link(root / "precious/file", out / "hard");
    }
    SECTION("many files, in one directory and in many")
    {
        for (int i = 0; i < 300; ++i) {
            const unique_fd f{
                ::open((out / ("file" + std::to_string(i))).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
            fs::create_directories(out / ("d" + std::to_string(i % 30)) / "e" / std::to_string(i));
        }
    }
    SECTION("names like those that removal uses")
    {
        for (int i = 0; i < 20; ++i) {
            const std::string taken = ".lifted-" + std::to_string(i);
            fs::create_directories(out / std::to_string(i) / "a" / taken / "b");
            if (i % 2 == 0)
                fs::create_directories(path / taken / "c");
            else
                write_file(path / taken, "");
        }
    }
    SECTION("names that no terminal wants to see")
    {
        write_file(out / "\n\x1b[2J", "");
        write_file(out / std::string(255, '\xff'), "");
        fs::create_directories(out / " -rf" / "*" / "\\");
    }
    SECTION("FIFOs and sockets") { REQUIRE(::mkfifo((out / "fifo").c_str(), 0666) == 0); }
    SECTION("directories that nobody may enter")
    {
        fs::create_directories(out / "a/b/c");
        write_file(out / "a/b/file", "x");
        fs::permissions(out / "a/b", fs::perms::none);
        fs::permissions(out / "a", fs::perms::none);
        fs::permissions(out, fs::perms::none);
    }
    SECTION("files that may not be changed")
    {
        write_file(out / "file", "");
        const unique_fd file{::open((out / "file").c_str(), O_RDONLY | O_CLOEXEC)};
        int flags = 0;
        REQUIRE(::ioctl(file.get(), FS_IOC_GETFLAGS, &flags) == 0);
        flags |= FS_IMMUTABLE_FL;
        if (::ioctl(file.get(), FS_IOC_SETFLAGS, &flags) != 0) SKIP("needs CAP_LINUX_IMMUTABLE");
    }

    switch (how) {
        case way::at_once: CHECK(job.remove()); break;
        case way::in_turns: {
            boost::asio::io_context context;
            CHECK(run(context, job.remove_in_turns()));
            break;
        }
        case way::by_destructor: const auto gone = std::move(job); break;
    }
    CHECK(names_in(root / "jobs").empty());
    CHECK(read_file(root / "precious/file") == "x");
    CHECK(job.remove());
}

TEST_CASE("a user without privileges removes what its jobs made inaccessible")
{
    const temporary_directory root;
    const auto work = [&] {
        auto job = job_directory::create(root / "jobs", "job");
        if (!job) return false;
        const auto out = job->output_path();
        fs::create_directories(out / "a/b/c/d");
        write_file(out / "a/b/c/file", "x");
        for (const auto* name : {"a/b/c/d", "a/b/c", "a/b", "a", ""}) fs::permissions(out / name, fs::perms::none);
        const auto path = job->path();
        return job->remove() && !fs::exists(path);
    };
    if (is_root()) {
        fs::create_directory(root / "jobs");
        REQUIRE(::chown((root / "jobs").c_str(), nobody, nobody) == 0);
        CHECK(as_user(nobody, work));
    } else {
        CHECK(work());
    }
}

TEST_CASE("what cannot be removed is named, and the rest goes")
{
    if (!is_root()) SKIP("needs root");
    const temporary_directory root;
    fs::create_directory(root / "jobs");
    REQUIRE(::chown((root / "jobs").c_str(), nobody, nobody) == 0);
    CHECK(as_user(nobody, [&] {
        auto job = job_directory::create(root / "jobs", "job");
        if (!job) return false;
        fs::create_directories(job->output_path() / "foreign");
        write_file(job->output_path() / "own", "x");
        // Never destroyed: this process ends as a server that was killed does.
        new job_directory{std::move(*job)};
        return true;
    }));
    const auto path = root / "jobs" / names_in(root / "jobs").at(0);
    REQUIRE(::chown((path / "out/foreign").c_str(), 0, 0) == 0);
    write_file(path / "out/foreign/file", "x");
    CHECK(as_user(nobody, [&] {
        const auto removed = test::on_loop(remove_leftovers(root / "jobs"));
        return removed.count == 0 && removed.failures.size() == 1 &&
               removed.failures[0].find("foreign") != std::string::npos && !fs::exists(path / "out/own");
    }));
    CHECK(fs::exists(path / "out/foreign/file"));
}

TEST_CASE("removing in turns leaves nothing of a job")
{
    const temporary_directory root;
    auto job = make(root);
    for (int i = 0; i < 1000; ++i) write_file(job.output_path() / std::to_string(i), "");
    boost::asio::io_context context;
    boost::asio::co_spawn(context, job.remove_in_turns(), [](std::exception_ptr, result<void>) {});
    context.run();
    CHECK(names_in(root / "jobs").empty());
}

TEST_CASE("leftovers of a killed server are removed; what is alive or not ours stays")
{
    const temporary_directory root;
    const auto jobs = root / "jobs";
    auto alive = make(root, "alive");
    fs::create_directories(jobs / "dead.0123456789abcdef" / "out/a/b");
    write_file(jobs / "dead.0123456789abcdef" / "out/a/b/file", "x");
    fs::create_directory(jobs / "0123456789abcdef0123456789abcdef.00000000ffffffff");
    for (const auto* name : {"home", "dead.0123456789abcde", "dead.0123456789abcdeg", ".0123456789abcdef"})
        fs::create_directory(jobs / name);
    write_file(jobs / "notes.txt", "");

    CHECK(test::on_loop(remove_leftovers(jobs, [] { return true; })).count == 0);
    const auto removed = test::on_loop(remove_leftovers(jobs));
    CHECK(removed.count == 2);
    CHECK(removed.failures.empty());
    CHECK(fs::exists(alive.output_path()));
    CHECK(names_in(jobs).size() == 6);
    CHECK(test::on_loop(remove_leftovers(jobs)).count == 0);
    CHECK(test::on_loop(remove_leftovers(root / "not there")).failures.size() == 1);
}
