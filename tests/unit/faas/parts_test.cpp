#include "base/uuid.hpp"
#include "faas/files.hpp"
#include "faas/log_ring.hpp"
#include "faas/manifest.hpp"
#include "support/on_loop.hpp"
#include "support/proc.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

using namespace sandboxd;
using namespace sandboxd::faas;
using namespace sandboxd::test;
namespace fs = std::filesystem;

namespace {

const std::chrono::system_clock::time_point now{};

boost::asio::awaitable<bool> done(boost::asio::awaitable<result<void>> work)
{
    const auto ended = co_await std::move(work);
    co_return ended.has_value();
}

boost::asio::awaitable<file_store::survey> looked(file_store& store, std::string id)
{
    const auto seen = co_await store.look(std::move(id));
    co_return seen.value();
}

}  // namespace

TEST_CASE("the log keeps the newest lines and never gives a number twice", "[faas]")
{
    log_ring ring{1000};
    ring.append(log_source::out, "one\ntw", now);
    ring.append(log_source::err, "error\r\n", now);
    ring.append(log_source::out, "o\n", now);
    REQUIRE(ring.lines().size() == 3);
    CHECK(ring.lines()[0].text == "one");
    CHECK(ring.lines()[1].text == "error");
    CHECK(ring.lines()[1].source == log_source::err);
    CHECK(ring.lines()[2].text == "two");
    for (int i = 0; i < 1000; ++i) ring.append(log_source::out, "line\n", now);
    CHECK(ring.bytes() <= 1000);
    CHECK(ring.last_id() == 1003);
    CHECK(ring.lines().back().id == 1003);
    CHECK(ring.dropped() + ring.lines().size() == 1003);
    ring.append(log_source::out, "unfinished \xff", now);
    CHECK(ring.last_id() == 1003);
    ring.flush(now);
    CHECK(ring.lines().back().text == "unfinished \xef\xbf\xbd");
    ring.append(log_source::out, std::string(20'000, 'x'), now);
    CHECK(ring.lines().size() == 1);
    CHECK(ring.lines().back().text.size() == log_ring::longest_line);
}

TEST_CASE("a line of the log is written once for all who follow, and little is kept of that", "[faas]")
{
    const auto render = [](const log_line& line) { return "<" + line.text + ">"; };
    log_ring ring{2000};
    CHECK(ring.told(0, 10, render).lines.empty());
    ring.append(log_source::out, "one\ntwo\nthree\n", now);
    const auto first = ring.told(0, 10, render);
    REQUIRE(first.lines.size() == 3);
    CHECK(first.rendered == 3);
    CHECK(first.lines[0].first == 1);
    CHECK(*first.lines[2].second == "<three>");
    const auto second = ring.told(0, 10, render);
    CHECK(second.rendered == 0);
    CHECK(second.lines[2].second == first.lines[2].second);
    ring.append(log_source::out, "four\n", now);
    CHECK(ring.told(3, 10, render).rendered == 1);
    CHECK(ring.told(2, 1, render).lines.front().first == 4);
    CHECK(ring.told(4, 10, render).lines.empty());
    CHECK(ring.told(std::numeric_limits<std::uint64_t>::max(), 10, render).lines.empty());

    // What takes more room than the lines themselves is not kept, but told all the same.
    const auto lengthy = [](const log_line&) { return std::string(1500, 'x'); };
    log_ring other{2000};
    other.append(log_source::out, "a\nb\nc\n", now);
    CHECK(other.told(0, 10, lengthy).lines.size() == 3);
    CHECK(other.told(2, 10, lengthy).rendered == 0);
    CHECK(other.told(0, 10, lengthy).rendered == 2);
    for (int i = 0; i < 100; ++i) {
        other.append(log_source::out, "more\n", now);
        CHECK(other.told(other.last_id() - 1, 10, lengthy).rendered == 1);
    }
}

TEST_CASE("of what is printed so many lines go into the log at once", "[faas]")
{
    log_ring ring{256 * 1024};
    const std::string newlines(1000, '\n');
    std::string_view left{newlines};
    int times = 0;
    while (!left.empty()) {
        const auto before = ring.last_id();
        left = ring.append_some(log_source::out, left, {}, 256);
        CHECK(ring.last_id() - before <= 256);
        ++times;
    }
    CHECK(times == 4);
    CHECK(ring.last_id() == 1000);
    CHECK(ring.append_some(log_source::out, "un", {}, 1).empty());
    CHECK(ring.append_some(log_source::out, "finished\nnext\n", {}, 1) == "next\n");
    CHECK(ring.lines().back().text == "unfinished");
}

TEST_CASE("paths of files stay within the deployment", "[faas]")
{
    for (const auto* good :
         {"index.ts", "src/a/b.js", "public/.well-known/x", "a b.txt", "src/node_modules/x.js", "\xc3\xa4.js"})
        CHECK(path_fault(good).empty());
    for (const auto& bad :
         {std::string{}, std::string{"/etc/passwd"}, std::string{"../x"}, std::string{"a/../b"}, std::string{"a//b"},
          std::string{"./a"}, std::string{"a/"}, std::string{"a\\b"}, std::string{"a\nb"}, std::string{"a\0b", 3},
          std::string{"node_modules/x"}, std::string{".npmrc"}, std::string{"bunfig.toml"}, std::string{"\xff"},
          std::string(600, 'a'), std::string(201, 'a'), std::string{"a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"}}) {
        CAPTURE(bad);
        CHECK_FALSE(path_fault(bad).empty());
    }
    const file_limits few{.max_files = 2, .max_bytes = 10};
    CHECK(check_files({{"a", "12345"}, {"b", "12345"}}, few).has_value());
    CHECK(check_files({{"a", "123456"}, {"b", "12345"}}, few).error().code == errc::payload_too_large);
    CHECK(check_files({{"a", ""}, {"b", ""}, {"c", ""}}, few).error().code == errc::payload_too_large);
    CHECK(check_files({{"a", ""}, {"a", ""}}, few).error().code == errc::invalid_request);
    CHECK(check_files({{"a", ""}, {"a/b", ""}}, few).error().code == errc::invalid_request);
}

TEST_CASE("files and manifests survive, and updates are all or nothing", "[faas]")
{
    const temporary_directory own;
    const auto root = own / "deployments";
    manifest what{.id = new_uuid(),
                  .sandbox_id = new_uuid(),
                  .runtime = "bun",
                  .entry_point = "bun dev",
                  .env = {{"A", "b"}},
                  .memory_mb = 128,
                  .idle = std::chrono::milliseconds{1500},
                  .max_instances = 3,
                  .created = 17};
    const auto app = root / what.id / "app";
    {
        auto store = file_store::open(root);
        REQUIRE(store.has_value());
        REQUIRE(on_loop(done(store->create(what.id, to_text(what), {{"index.ts", "one"}, {"src/a.ts", "a"}}))));
        CHECK(text_of(app / "src/a.ts") == "a");
        // What is there already stays as it is.
        CHECK_FALSE(on_loop(done(store->create(what.id, to_text(what), {{"index.ts", "another"}}))));
        CHECK(text_of(app / "index.ts") == "one");
        REQUIRE(on_loop(done(store->update(what.id, {{"index.ts", "two"}, {"new/b.ts", "b"}}, false))));
        CHECK(text_of(app / "index.ts") == "two");
        const auto there = on_loop(looked(*store, what.id));
        CHECK(there.paths == std::vector<std::string>{"index.ts", "new/b.ts", "src/a.ts"});
        CHECK(there.bytes == 5);
        // A directory of that name is in the way: nothing changes.
        CHECK_FALSE(on_loop(done(store->update(what.id, {{"index.ts", "three"}, {"index.ts/c.ts", "c"}}, false))));
        CHECK(text_of(app / "index.ts") == "two");
        CHECK_FALSE(fs::exists(root / what.id / "next"));
        // One that an earlier update left empty is not.
        fs::create_directories(app / "empty/inner");
        REQUIRE(on_loop(done(store->update(what.id, {{"empty", "a file"}}, false))));
        CHECK(text_of(app / "empty") == "a file");
    }
    // A server that was killed while it wrote.
    fs::create_directories(root / what.id / "next");
    std::ofstream{root / what.id / "next/index.ts"} << "half";
    fs::create_directories(root / new_uuid() / "app");  // was being made
    fs::create_directories(root / ".gone-x" / "app");   // was being removed
    auto store = file_store::open(root);
    REQUIRE(store.has_value());
    CHECK(text_of(app / "index.ts") == "two");
    CHECK(names_in(root) == std::vector<std::string>{what.id});
    const auto loaded = store->load();
    REQUIRE(loaded.has_value());
    REQUIRE(loaded->size() == 1);
    CHECK(manifest_from(loaded->front().manifest).value() == what);
    CHECK(on_loop(done(store->remove(what.id))));
    CHECK(names_in(root).empty());
}

TEST_CASE("a copy becomes what another server has: its files alone, and its manifest", "[faas]")
{
    const temporary_directory own;
    const auto root = own / "deployments";
    manifest what;
    what.id = new_uuid();
    what.sandbox_id = new_uuid();
    what.runtime = "node";
    CHECK(to_text(what).find("revision") == std::string::npos);
    auto store = file_store::open(root);
    REQUIRE(store.has_value());
    REQUIRE(on_loop(done(store->create(what.id, to_text(what), {{"index.js", "one"}, {"src/a.js", "a"}}))));
    REQUIRE(on_loop(done(store->update(what.id, {{"index.js", "two"}, {"b", ""}}, false, true))));
    CHECK(on_loop(looked(*store, what.id)).paths == std::vector<std::string>{"b", "index.js"});
    const auto read = on_loop(store->read_all(what.id, 3));
    REQUIRE(read.has_value());
    REQUIRE(read->size() == 2);
    CHECK(read->at(0).path == "b");
    CHECK(read->at(0).content.empty());
    CHECK(read->at(1).content == "two");
    CHECK(on_loop(store->read_all(what.id, 2)).error().code == errc::payload_too_large);
    CHECK(on_loop(store->read_all(new_uuid(), 100)).error().code == errc::io);

    what.revision = 7;
    // What a server has left that died meanwhile is not in the way.
    std::ofstream{root / what.id / ".manifest.json"} << "half";
    REQUIRE(on_loop(done(store->describe(what.id, to_text(what)))));
    CHECK(on_loop(store->describe(what.id, std::string(file_store::largest_manifest + 1, ' '))).error().code ==
          errc::payload_too_large);
    const auto loaded = store->load();
    REQUIRE(loaded.has_value());
    CHECK(manifest_from(loaded->front().manifest).value() == what);
    CHECK(names_in(root / what.id) == std::vector<std::string>{"app", "manifest.json"});
}

TEST_CASE("manifests that are none are refused", "[faas]")
{
    for (const auto* text : {"", "[]", "{}", R"({"id":"x","sandbox_id":"y"})"}) {
        CAPTURE(text);
        const auto read = manifest_from(text);
        REQUIRE(read.has_error());
        CHECK(read.error().code == errc::io);
    }
    CHECK(is_uuid(new_uuid()));
    CHECK(new_uuid()[14] == '4');
    CHECK(new_uuid() != new_uuid());
    CHECK_FALSE(is_uuid("123e4567-e89b-12d3-a456-42661417400/"));
}

TEST_CASE("a manifest has its owner, where there is one", "[faas][tenants]")
{
    manifest what;
    what.id = new_uuid();
    what.sandbox_id = new_uuid();
    what.runtime = "node";
    CHECK(to_text(what).find("owner") == std::string::npos);
    CHECK(manifest_from(to_text(what)).value() == what);
    what.owner = "team-a";
    CHECK(manifest_from(to_text(what)).value() == what);
}
