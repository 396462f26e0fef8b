#include "toolchain/remembered.hpp"

#include "support/temporary_directory.hpp"

#include <catch2/catch_test_macros.hpp>
#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <string>

using sandboxd::test::temporary_directory;
using sandboxd::toolchain::remembered;

namespace {

std::string text_of_file(const std::string& path)
{
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, {}};
}

}  // namespace

TEST_CASE("preambles are remembered over a restart, the most used first", "[toolchain]")
{
    const temporary_directory place;
    const auto path = place / "preambles.json";
    remembered before;
    before.used({"-O0"}, "#include <map>\n");
    for (int i = 0; i < 6; ++i) before.used({"-O2", "-DA=\"b\""}, "// \xc3\xa9\n#include <vector>\n");
    before.used({"-O0"}, "#include <map>\n");
    before.used({"-O1"}, "#include <map>\n");
    REQUIRE(before.save(path).has_value());
    struct stat seen{};
    REQUIRE(::stat(path.c_str(), &seen) == 0);
    CHECK((seen.st_mode & 0777) == 0600);

    remembered after{};
    REQUIRE(after.load(path));
    const auto all = after.all();
    REQUIRE(all.size() == 3);
    CHECK(all[0].args == std::vector<std::string>{"-O2", "-DA=\"b\""});
    CHECK(all[0].text == "// \xc3\xa9\n#include <vector>\n");
    CHECK(all[0].uses == 3);
    CHECK(all[1].uses == 1);
    CHECK(all[2].uses == 1);
}

TEST_CASE("what is remembered of preambles has bounds", "[toolchain]")
{
    const temporary_directory place;
    const auto path = place / "preambles.json";
    remembered list;
    list.used({}, std::string(remembered::most_bytes_of_one + 1, '\n'));
    list.used({}, "// \xff\n#include <map>\n");
    list.used({"\xff"}, "#include <map>\n");
    list.used({}, "");
    CHECK(list.all().empty());
    for (int i = 0; i < 3; ++i) list.used({}, "#include <map>\n");
    // Six bytes of JSON each.
    list.used({}, std::string(remembered::most_bytes_of_one / 6, '\x01'));
    CHECK(list.all().size() == 1);
    const std::string large(remembered::most_bytes_of_one - 64, 'x');
    for (std::size_t i = 0; i < 2 * remembered::most; ++i) list.used({}, std::to_string(i) + large);
    CHECK(list.all().size() == remembered::most);
    CHECK(list.all().front().text == "#include <map>\n");
    REQUIRE(list.save(path).has_value());
    CHECK(remembered{}.load(path));
}

TEST_CASE("a list of preambles that is not whole is no list", "[toolchain]")
{
    const temporary_directory place;
    const auto path = place / "preambles.json";
    CHECK_FALSE(remembered{}.load(path));
    remembered good;
    good.used({"-O0"}, "#include <map>\n");
    REQUIRE(good.save(path).has_value());
    const auto whole = text_of_file(path);
    REQUIRE(remembered{}.load(path));
    const auto replaced = [&](std::string_view from, std::string_view to) {
        auto text = whole;
        return text.replace(text.find(from), from.size(), to);
    };
    for (const auto& text :
         {std::string{}, whole.substr(0, whole.size() / 2), std::string{"[]"}, std::string{"{}"},
          replaced(R"("uses":1)", R"("uses":0)"), replaced(R"("uses":1)", R"("uses":-1)"),
          replaced(R"(["-O0"])", R"("-O0")"), replaced(R"("text":"#include <map>\n")", R"("text":"")"),
          replaced(R"("text":"#include <map>\n",)", "")}) {
        INFO(text);
        std::ofstream{path} << text;
        remembered list;
        CHECK_FALSE(list.load(path));
        CHECK(list.all().empty());
    }
    // A failure leaves what was there.
    CHECK_FALSE(good.save(place.path() / "none" / "preambles.json").has_value());
}
