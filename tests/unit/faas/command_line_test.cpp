#include "faas/command_line.hpp"

#include "faas/manifest.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::faas;

namespace {

using words = std::vector<std::string>;
using script_map = std::map<std::string, std::string, std::less<>>;

const script_map scripts{
    {"dev", "bun run --hot index.ts"},      {"start", "NODE_ENV=production node server.js --port 3000"},
    {"both", "npm run start && echo done"}, {"loop", "npm run loop"},
    {"next", "next start -p 3000"},         {"chain", "npm run start -- --quiet"}};
const words files{"index.ts", "server.js", "src/app.js"};
const words commands{"node", "bun", "python3", "python"};

command_line resolved(std::string_view entry)
{
    const auto made = resolve_entry_point(entry, scripts, files, commands);
    INFO(entry << ": " << (made ? "" : made.error().message));
    REQUIRE(made.has_value());
    return *made;
}

}  // namespace

TEST_CASE("words are split at blanks, with quotes", "[faas]")
{
    CHECK(split_words("bun run  --hot\tindex.ts").value() == words{"bun", "run", "--hot", "index.ts"});
    CHECK(split_words(R"(node 'a b.js' "c d" e\ f '' x"y z")").value() ==
          words{"node", "a b.js", "c d", "e f", "", "xy z"});
    CHECK(split_words("node '$HOME;x'").value() == words{"node", "$HOME;x"});
    CHECK(split_words("  ").value().empty());
}

TEST_CASE("what needs a shell is refused with the cure", "[faas]")
{
    for (const auto* line : {"a && b", "a | b", "a; b", "a > f", "a < f", "echo $HOME", "echo \"$HOME\"", "a `b`",
                             "(a)", "rm *", "a 'b", "a\nb"}) {
        const auto made = split_words(line);
        CAPTURE(line);
        REQUIRE(made.has_error());
        CHECK(made.error().code == errc::unprocessable);
    }
    std::string many;
    for (int i = 0; i < 70; ++i) many += "a ";
    CHECK(split_words(many).has_error());
}

TEST_CASE("the first word too many ends the splitting, and a message holds little of the line", "[faas]")
{
    std::string words;
    for (int i = 0; i < 64; ++i) words += "a ";
    CHECK(split_words(words).value().size() == 64);
    // The quote behind it is not looked at.
    const auto many = split_words(words + "a '");
    REQUIRE(many.has_error());
    CHECK(many.error().message == "the entry point has more than 64 words");
    const std::string large(4'000, 'a');
    for (const auto& line : {large + "$", large + ";", large + " '", "/" + large, "./" + large, "npm run " + large}) {
        const auto made = resolve_entry_point(line, {}, {}, {});
        REQUIRE(made.has_error());
        CHECK(made.error().message.size() < 1'000);
    }
}

TEST_CASE("neither an entry point nor a script that it leads to is longer than 4096 bytes", "[faas]")
{
    const std::string name(longest_entry_point, 'a');
    CHECK(split_words(name).value() == words{name});
    for (const auto& made : {resolve_entry_point("node index.js " + name, {}, {"index.js"}, {"node"}),
                             resolve_entry_point("npm start", {{"start", "node " + name}}, {}, {"node"}),
                             resolve_entry_point("A=" + name, {}, {}, {})}) {
        REQUIRE(made.has_error());
        CHECK(made.error().code == errc::unprocessable);
        CHECK(made.error().message.find("4096") != std::string::npos);
        CHECK(made.error().message.size() < 1'000);
    }
    // One on disk is not listed either.
    manifest old;
    old.id = old.sandbox_id = "123e4567-e89b-42d3-a456-426614174000";
    old.entry_point = name;
    CHECK(manifest_from(to_text(old)).has_value());
    old.entry_point += 'a';
    CHECK(manifest_from(to_text(old)).error().message.find("4096") != std::string::npos);
}

TEST_CASE("entry points are programs, scripts or files", "[faas]")
{
    CHECK(resolved("bun dev").words == words{"bun", "run", "--hot", "index.ts"});
    CHECK(resolved("bun run dev").words == words{"bun", "run", "--hot", "index.ts"});
    CHECK(resolved("bun run --hot index.ts").words == words{"bun", "run", "--hot", "index.ts"});
    CHECK(resolved("node server.js").words == words{"node", "server.js"});
    const auto start = resolved("npm start");
    CHECK(start.words == words{"node", "server.js", "--port", "3000"});
    CHECK(start.env == std::vector<std::pair<std::string, std::string>>{{"NODE_ENV", "production"}});
    CHECK(resolved("yarn start").words == start.words);
    CHECK(resolved("npm run chain").words == words{"node", "server.js", "--port", "3000", "--quiet"});
    CHECK(resolved("index.ts").is_file);
    CHECK(resolved("./src/app.js x").words == words{"src/app.js", "x"});
    CHECK(resolved("npm run next").is_package_binary);
    CHECK(resolved("npx next start").words == words{"next", "start"});
}

TEST_CASE("entry points that cannot be run are named", "[faas]")
{
    const auto fault = [](std::string_view entry) {
        const auto made = resolve_entry_point(entry, scripts, files, commands);
        CAPTURE(entry);
        REQUIRE(made.has_error());
        CHECK(made.error().code == errc::unprocessable);
        return made.error().message;
    };
    CHECK(fault("").find("names no program") != std::string::npos);
    CHECK(fault("npm run nothing").find("'nothing'") != std::string::npos);
    CHECK(fault("npm run both").find("&") != std::string::npos);
    CHECK(fault("npm run loop").find("calls itself") != std::string::npos);
    CHECK(fault("missing.js").find("missing.js") != std::string::npos);
    CHECK(fault("/bin/sh").find("absolute") != std::string::npos);
    CHECK(fault("../x").find("../x") != std::string::npos);
    CHECK(fault("npm install").find("install") != std::string::npos);
    CHECK(fault("X=1").find("names no program") != std::string::npos);
}
