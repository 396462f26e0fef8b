// Whatever writes more than one file is killed, and left without space, quota, descriptors, between each two of its
// system calls: what was there is there, or what was to be, and the next start is right.
#include "artifacts/store.hpp"
#include "base/uuid.hpp"
#include "faas/files.hpp"
#include "support/on_loop.hpp"
#include "support/proc.hpp"
#include "support/syscall_faults.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>

using namespace sandboxd;
using namespace sandboxd::faas;
using namespace sandboxd::test;
namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

using tree = std::map<std::string, std::string>;

const std::string known_id = "11111111-1111-4111-8111-111111111111";
const std::string other_id = "22222222-2222-4222-8222-222222222222";

const std::vector<deployment_file> first{{"index.js", "one"}, {"src/a.js", "a"}, {"src/deep/b.js", "b"}};
const tree before{{"index.js", "one"}, {"src/a.js", "a"}, {"src/deep/b.js", "b"}};
const std::vector<deployment_file> change{{"index.js", "two"}, {"src/a.js", "A"}, {"new/c.js", "c"}, {"d.js", "d"}};
const tree after{{"index.js", "two"}, {"src/a.js", "A"}, {"src/deep/b.js", "b"}, {"new/c.js", "c"}, {"d.js", "d"}};

tree tree_at(const fs::path& top)
{
    tree found;
    for (const auto& path : paths_below(top.native()))
        if (fs::is_regular_file(fs::symlink_status(path)))
            found[fs::path{path}.lexically_relative(top)] = text_of(path);
    return found;
}

asio::awaitable<int> stock_taken(artifacts::store& of)
{
    co_await of.take_stock();
    co_return 0;
}

template <class T>
asio::awaitable<int> code_of(asio::awaitable<result<T>> work)
{
    const auto done = co_await std::move(work);
    co_return done ? 0 : 1;
}

asio::awaitable<int> prepared(file_store& store, std::string id)
{
    const auto done = co_await store.prepare(std::move(id));
    co_return done ? 0 : 1;
}

std::vector<std::string> sorted_names(const fs::path& in)
{
    auto names = names_in(in);
    std::ranges::sort(names);
    return names;
}

// In memory where that can be: thousands of runs write to the disk and wait for it otherwise.
class quick_directory {
public:
    quick_directory()
    {
        for (const char* base : {"/dev/shm", "/tmp"}) {
            std::string pattern = std::string{base} + "/sandboxd-test-XXXXXX";
            if (::mkdtemp(pattern.data()) == nullptr) continue;
            path_ = pattern;
            return;
        }
        throw std::runtime_error("no directory can be made");
    }
    ~quick_directory()
    {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    quick_directory(const quick_directory&) = delete;
    quick_directory& operator=(const quick_directory&) = delete;
    fs::path operator/(std::string_view name) const { return path_ / name; }

private:
    fs::path path_;
};

// A store with one deployment, whose files a program has mounted; copied for each run.
class ground {
public:
    ground()
    {
        auto store = file_store::open(own_ / "template");
        REQUIRE(store.has_value());
        REQUIRE(on_loop(code_of(store->create(known_id, "manifest", first))) == 0);
        REQUIRE(on_loop(prepared(*store, known_id)) == 0);
    }

    // As the server does it at its start.
    file_store fresh()
    {
        std::error_code ignored;
        fs::remove_all(root(), ignored);
        fs::copy(own_ / "template", root(), fs::copy_options::recursive);
        return open();
    }
    file_store open()
    {
        auto store = file_store::open(root());
        REQUIRE(store.has_value());
        return std::move(*store);
    }
    fs::path root() const { return own_ / "deployments"; }
    fs::path of(const std::string& id) const { return root() / id; }

    // After the next start: whole, with nothing beside it, and shown as it is.
    tree whole(file_store& store, const std::string& id)
    {
        const auto all = store.load();
        REQUIRE(all.has_value());
        const auto mine = std::ranges::find(*all, id, &file_store::entry::id);
        REQUIRE(mine != all->end());
        CHECK(mine->fault.empty());
        CHECK(mine->manifest == "manifest");
        REQUIRE(on_loop(prepared(store, id)) == 0);
        CHECK(sorted_names(of(id)) == std::vector<std::string>{"app", "live", "manifest.json"});
        auto found = tree_at(of(id) / "app");
        CHECK(tree_at(of(id) / "live") == found);
        return found;
    }

private:
    quick_directory own_;
};

bool usable()
{
    std::string why;
    if (can_make_faults(why)) return true;
    WARN("skipped: " + why);
    return false;
}

// Runs `act` in a child that has a file system of this size to itself, where that is allowed. Its exit code; -1: not.
int on_small_disk(const fs::path& at, const std::string& options, const std::function<int()>& act)
{
    const pid_t child = ::fork();
    if (child == 0) {
        const uid_t uid = ::geteuid();
        const int spaces = CLONE_NEWNS | (uid == 0 ? 0 : CLONE_NEWUSER);
        if (::unshare(spaces) != 0) ::_exit(77);
        if (uid != 0) {
            std::ofstream{"/proc/self/setgroups"} << "deny";
            std::ofstream{"/proc/self/uid_map"} << "0 " << uid << " 1\n";
        }
        if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("tmpfs", at.c_str(), "tmpfs", 0, options.c_str()) != 0)
            ::_exit(77);
        int code = 99;
        try {
            code = act();
        } catch (...) {
            code = 99;
        }
        ::_exit(code);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) return -2;
    return WEXITSTATUS(status) == 77 ? -1 : WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("an update is there as a whole or not at all, whatever fails and whenever the server dies", "[faas][crash]")
{
    if (!usable()) SKIP("see above");
    ground on;
    for (const bool shown : {false, true}) {
        const auto runs = for_every_fault([&](const syscall_fault& fault) {
            CAPTURE(describe(fault), shown);
            auto store = on.fresh();
            const auto seen =
                run_with_fault(fault, [&] { return on_loop(code_of(store.update(known_id, change, shown))); });
            CHECK(seen.code != 99);
            // What a request sees now, without a new start.
            const auto now = tree_at(on.of(known_id) / "app");
            if (seen.code == 0) CHECK(now == after);
            if (seen.code == 1) CHECK(now == before);
            auto next = on.open();
            const auto found = on.whole(next, known_id);
            CHECK((found == before || found == after));
            if (seen.code == 0) CHECK(found == after);
            if (seen.code == 1) CHECK(found == before);
            // And the next update goes well.
            CHECK(on_loop(code_of(next.update(known_id, {{"index.js", "three"}}, true))) == 0);
            CHECK(on.whole(next, known_id)["index.js"] == "three");
            return seen.hit;
        });
        std::printf("updates that were cut short: %zu\n", runs);
        CHECK(runs > 100);
    }
}

TEST_CASE("a deployment is made as a whole or not at all, whatever fails", "[faas][crash]")
{
    if (!usable()) SKIP("see above");
    ground on;
    const auto runs = for_every_fault([&](const syscall_fault& fault) {
        CAPTURE(describe(fault));
        auto store = on.fresh();
        const auto seen =
            run_with_fault(fault, [&] { return on_loop(code_of(store.create(other_id, "manifest", first))); });
        CHECK(seen.code != 99);
        auto next = on.open();
        CHECK(on.whole(next, known_id) == before);
        const auto all = next.load();
        REQUIRE(all.has_value());
        const bool there = all->size() == 2;
        if (seen.code == 0) CHECK(there);
        if (there)
            CHECK(on.whole(next, other_id) == before);
        else
            CHECK(names_in(on.root()) == std::vector<std::string>{known_id});
        return seen.hit;
    });
    std::printf("creations that were cut short: %zu\n", runs);
    CHECK(runs > 50);
}

TEST_CASE("a removal, a start and a first mount may be cut short anywhere", "[faas][crash]")
{
    if (!usable()) SKIP("see above");
    ground on;
    std::size_t runs = for_every_fault([&](const syscall_fault& fault) {
        CAPTURE(describe(fault));
        auto store = on.fresh();
        const auto seen = run_with_fault(fault, [&] { return on_loop(code_of(store.remove(known_id))); });
        CHECK(seen.code != 99);
        auto next = on.open();
        const auto all = next.load();
        REQUIRE(all.has_value());
        if (seen.code == 0) CHECK(all->empty());
        if (all->empty()) CHECK(names_in(on.root()).empty());
        if (!all->empty()) CHECK(on.whole(next, known_id) == before);
        return seen.hit;
    });
    // A start that finds a bit of everything; and where the exchange had to be made in two steps.
    for (const bool halfway : {false, true}) {
        runs += for_every_fault([&](const syscall_fault& fault) {
            CAPTURE(describe(fault), halfway);
            static_cast<void>(on.fresh());
            const auto own = on.of(known_id);
            fs::copy(own / "app", own / "next", fs::copy_options::recursive);
            std::ofstream{own / "next/index.js"} << "two";
            if (halfway) fs::rename(own / "app", own / "old");
            std::ofstream{own / ".fresh"} << "x";
            fs::create_directories(on.root() / ".gone-x" / "app");
            fs::create_directories(on.of(other_id) / "next");
            const auto seen = run_with_fault(fault, [&] { return file_store::open(on.root()) ? 0 : 1; });
            CHECK(seen.code != 99);
            auto next = on.open();
            const auto text = on.whole(next, known_id)["index.js"];
            // Where the newer tree could not be put in its place, the older one is as good.
            CHECK((text == "one" || (halfway && text == "two")));
            if (!seen.hit) CHECK(text == (halfway ? "two" : "one"));
            CHECK(names_in(on.root()) == std::vector<std::string>{known_id});
            return seen.hit;
        });
    }
    runs += for_every_fault([&](const syscall_fault& fault) {
        CAPTURE(describe(fault));
        auto store = on.fresh();
        fs::remove_all(on.of(known_id) / "live");
        const auto seen = run_with_fault(fault, [&] { return on_loop(prepared(store, known_id)); });
        CHECK(seen.code != 99);
        auto next = on.open();
        CHECK(on.whole(next, known_id) == before);
        return seen.hit;
    });
    std::printf("removals and starts that were cut short: %zu\n", runs);
}

TEST_CASE("an update that an earlier version left half done is carried out, whatever is in its way", "[faas][crash]")
{
    if (!usable()) SKIP("see above");
    ground on;
    for_every_fault([&](const syscall_fault& fault) {
        CAPTURE(describe(fault));
        static_cast<void>(on.fresh());
        const auto own = on.of(known_id);
        fs::create_directories(own / "ready/src/a.js");  // was a file
        std::ofstream{own / "ready/src/a.js/inner.js"} << "inner";
        fs::create_directories(own / "app/index.js.d");
        std::ofstream{own / "ready/index.js.d"} << "was an empty directory";
        auto store = on.open();
        const auto seen = run_with_fault(fault, [&] { return on_loop(prepared(store, known_id)); });
        CHECK(seen.code != 99);
        auto next = on.open();
        CHECK(on.whole(next, known_id) == tree{{"index.js", "one"},
                                               {"index.js.d", "was an empty directory"},
                                               {"src/a.js/inner.js", "inner"},
                                               {"src/deep/b.js", "b"}});
        return seen.hit;
    });
}

TEST_CASE("a broken deployment does not keep the others from being served", "[faas][crash]")
{
    ground on;
    const auto manifest = on.of(known_id) / "manifest.json";
    static_cast<void>(on.fresh());
    std::string fault;
    SECTION("its manifest is a directory")
    {
        fs::remove(manifest);
        fs::create_directory(manifest);
    }
    SECTION("it is a file") { fs::remove_all(on.of(known_id)), std::ofstream{on.of(known_id)} << "x"; }
    SECTION("its files are gone") { fs::remove_all(on.of(known_id) / "app"); }
    SECTION("its files are one file")
    {
        fs::remove_all(on.of(known_id) / "app");
        std::ofstream{on.of(known_id) / "app"} << "x";
    }
    auto store = on.open();
    REQUIRE(on_loop(code_of(store.create(other_id, "manifest", first))) == 0);
    const auto all = store.load();
    REQUIRE(all.has_value());
    REQUIRE(all->size() == 2);
    CHECK_FALSE(all->front().fault.empty());
    CHECK(all->back().fault.empty());
    CHECK(on_loop(code_of(store.remove(known_id))) == 0);
    CHECK(names_in(on.root()) == std::vector<std::string>{other_id});
}

TEST_CASE("an artifact's entry is published as a whole or not at all, whatever fails", "[artifacts][crash]")
{
    if (!usable()) SKIP("see above");
    const quick_directory own;
    const std::string id = "0123456789abcdef0123456789abcdef";
    const auto publish = [&](artifacts::store& into, const char* js, const char* wasm) {
        std::vector<artifacts::collected> files;
        for (const auto& [name, bytes] : {std::pair{"app.js", js}, std::pair{"app.wasm", wasm}}) {
            const auto path = own / (std::string{"job-"} + name);
            std::ofstream{path} << bytes;
            const std::string text{bytes};
            files.push_back({name, unique_fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)}, text.size()});
            ::unlink(path.c_str());
        }
        return on_loop(code_of(into.publish(id, std::move(files), "{}")));
    };
    const artifacts::store_settings how{.root = own / "artifacts"};
    const auto runs = for_every_fault([&](const syscall_fault& fault) {
        CAPTURE(describe(fault));
        std::error_code ignored;
        fs::remove_all(how.root, ignored);
        {
            artifacts::store store{how};
            REQUIRE(store.open().has_value());
            REQUIRE(publish(store, "one", "ONE") == 0);
        }
        const auto seen = run_with_fault(fault, [&] {
            artifacts::store store{how};
            if (!store.open()) return 1;
            return publish(store, "two", "TWO");
        });
        CHECK(seen.code != 99);
        artifacts::store store{how};
        REQUIRE(store.open().has_value());
        std::string text;
        for (const char* name : {"app.js", "app.wasm"})
            if (const auto got = store.open_content(id, name, false, false); got && *got && (*got)->memory)
                text += *(*got)->memory;
        CHECK((text.empty() || text == "oneONE" || text == "twoTWO"));
        if (seen.code == 0) CHECK(text == "twoTWO");
        on_loop(stock_taken(store));
        const auto left = names_in(how.root);
        CHECK(std::ranges::none_of(left, [](const auto& name) { return name.starts_with('.'); }));
        return seen.hit;
    });
    std::printf("publications that were cut short: %zu\n", runs);
}

TEST_CASE("on a disk that is full, or has no inodes left, an update leaves the files as they were", "[faas][crash]")
{
    const temporary_directory own;
    const auto at = own / "disk";
    fs::create_directory(at);
    std::size_t failed = 0;
    std::size_t done = 0;
    const auto attempt = [&](const std::string& options) {
        const int code = on_small_disk(at, options, [&] {
            auto store = file_store::open(at / "deployments");
            if (!store) return 10;
            if (on_loop(code_of(store->create(known_id, "manifest", first))) != 0)
                return names_in(at / "deployments").empty() ? 11 : 20;
            if (on_loop(prepared(*store, known_id)) != 0) return 12;
            auto large = change;
            large.push_back({"large.bin", std::string(64 * 1024, 'x')});
            const int updated = on_loop(code_of(store->update(known_id, large, true)));
            auto next = file_store::open(at / "deployments");
            if (!next) return 21;
            if (on_loop(prepared(*next, known_id)) != 0) return 22;
            auto expected = after;
            expected["large.bin"] = large.back().content;
            if (updated != 0) expected = before;
            if (tree_at(at / "deployments" / known_id / "app") != expected) return 23;
            if (tree_at(at / "deployments" / known_id / "live") != expected) return 24;
            // There is always room to go.
            if (on_loop(code_of(next->remove(known_id))) != 0) return 25;
            return updated == 0 ? 0 : 1;
        });
        CAPTURE(options);
        CHECK(code < 20);
        CHECK(code != -2);
        if (code == 0) ++done;
        if (code == 1) ++failed;
        return code;
    };
    if (attempt("size=4m") < 0) SKIP("this process may not mount a file system");
    for (int inodes = 8; inodes < 60; ++inodes) attempt("size=4m,nr_inodes=" + std::to_string(inodes));
    for (int kilobytes = 16; kilobytes < 200; kilobytes += 4) attempt("size=" + std::to_string(kilobytes) + "k");
    CHECK(failed > 10);
    CHECK(done > 10);
}
