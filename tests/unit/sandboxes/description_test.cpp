#include "sandboxes/description.hpp"

#include "programs/bundle.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd;
using namespace sandboxd::sandboxes;

namespace {

description example()
{
    return {.id = "123e4567-e89b-42d3-a456-426614174000",
            .owner = "a \"tenant\"",
            .runtime = "node",
            .entry_point = "dir/index.js",
            .env = {{"A", "1\n2"}, {"quote\"", "\xc3\xa4"}},
            .bounds = {.wall_ms = 1, .memory_mb = 2, .cpu_secs = 3, .processes = 4, .output_bytes = 5, .disk_mb = 6},
            .created = std::chrono::system_clock::time_point{std::chrono::milliseconds{1'764'457'276'123}},
            .files = {{"dir/index.js", "console.log(1)"}, {"data", std::string{"\0\1", 2}}}};
}

}  // namespace

TEST_CASE("another server reads of a sandbox what it is made of", "[sandboxes]")
{
    const auto what = example();
    const auto bytes = to_bytes(what);
    const auto read = description_from(bytes, 2);
    REQUIRE(read.has_value());
    CHECK(read->id == what.id);
    CHECK(read->owner == what.owner);
    CHECK(read->runtime == what.runtime);
    CHECK(read->entry_point == what.entry_point);
    CHECK(read->env == what.env);
    CHECK(read->bounds == what.bounds);
    CHECK(read->created == what.created);
    CHECK(info_of(*read) == info_of(what));
    CHECK(read->files.at(1).content == what.files.at(1).content);
    CHECK(bytes.size() <= most_bytes_of({.max_files = 2, .max_bytes = 16}));
    CHECK_FALSE(description_from(bytes, 1).has_value());

    auto nobodys = example();
    nobodys.owner.clear();
    nobodys.env.clear();
    CHECK(description_from(to_bytes(nobodys), 2)->owner.empty());
}

TEST_CASE("what an index says of a sandbox is all but what changes", "[sandboxes]")
{
    auto info = info_of(example());
    CHECK(info.files == 2);
    CHECK(info.bytes == 16);
    info.executions = 7;
    info.running = 1;
    const auto read = info_from(to_text(info));
    REQUIRE(read.has_value());
    CHECK(read->executions == 0);
    CHECK(read->running == 0);
    info.executions = info.running = 0;
    CHECK(*read == info);
}

TEST_CASE("what is no description of a sandbox is refused", "[sandboxes]")
{
    const auto text = to_text(info_of(example()));
    const auto with = [&](const std::string& what, const std::string& by) {
        auto changed = text;
        const auto at = changed.find(what);
        REQUIRE(at != std::string::npos);
        return changed.replace(at, what.size(), by);
    };
    CHECK(info_from(with("\"version\"", "\"version\"")).has_value());
    for (const auto& wrong : {std::string{}, std::string{"{}"}, std::string{"[]"},
                              with("\"version\":1", "\"version\":2"), with("123e4567", "123E4567"),
                              with("\"created_ms\":", "\"created_ms\":-"), with("\"timeout_ms\":1", "\"timeout_ms\":0"),
                              with("\"bytes\":16", "\"bytes\":\"16\""), with("\"disk_limit_mb\"", "\"other\"")}) {
        CAPTURE(wrong);
        CHECK(info_from(wrong).error().code == errc::invalid_request);
        CHECK(description_from(programs::pack(wrong, {}), 2).error().code == errc::invalid_request);
    }
    // The index's text has no variables.
    CHECK_FALSE(description_from(programs::pack(text, {}), 2).has_value());
}
