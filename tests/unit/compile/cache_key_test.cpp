#include "compile/cache_key.hpp"

#include <catch2/catch_test_macros.hpp>

#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd::compile;

TEST_CASE("a job's id changes with everything that determines the result", "[compile][cache_key]")
{
    struct row {
        const char* what;
        std::vector<source_file> files;
        std::vector<std::string> argv;
        language lang;
        const char* toolchain;
    };
    const row rows[] = {
        {"the base", {{"main.c", "int main(){}"}}, {"-O2"}, language::c, "emcc 3.1.6"},
        {"content", {{"main.c", "int main(){ }"}}, {"-O2"}, language::c, "emcc 3.1.6"},
        {"path", {{"main2.c", "int main(){}"}}, {"-O2"}, language::c, "emcc 3.1.6"},
        {"one more file", {{"main.c", "int main(){}"}, {"a.h", ""}}, {"-O2"}, language::c, "emcc 3.1.6"},
        {"file order", {{"a.h", ""}, {"main.c", "int main(){}"}}, {"-O2"}, language::c, "emcc 3.1.6"},
        {"no arguments", {{"main.c", "int main(){}"}}, {}, language::c, "emcc 3.1.6"},
        {"another argument", {{"main.c", "int main(){}"}}, {"-O3"}, language::c, "emcc 3.1.6"},
        {"two arguments", {{"main.c", "int main(){}"}}, {"-O2", "-g"}, language::c, "emcc 3.1.6"},
        {"their order", {{"main.c", "int main(){}"}}, {"-g", "-O2"}, language::c, "emcc 3.1.6"},
        {"one instead of two", {{"main.c", "int main(){}"}}, {"-O2-g"}, language::c, "emcc 3.1.6"},
        {"language", {{"main.c", "int main(){}"}}, {"-O2"}, language::cpp, "emcc 3.1.6"},
        {"both languages", {{"main.c", "int main(){}"}}, {"-O2"}, language::mixed, "emcc 3.1.6"},
        {"toolchain", {{"main.c", "int main(){}"}}, {"-O2"}, language::c, "emcc 3.1.69"},
        {"boundary", {{"main.ci", "nt main(){}"}}, {"-O2"}, language::c, "emcc 3.1.6"},
        {"a file that reads like arguments", {{"main.c", "int main(){}"}, {"-O2", ""}}, {}, language::c, "emcc 3.1.6"},
    };
    std::set<std::string> seen;
    for (const auto& row : rows) {
        INFO(row.what);
        const job_inputs inputs{row.files, row.argv, row.lang, row.toolchain};
        const std::string id = job_id(inputs);
        CHECK(id.size() == 32);
        CHECK(id.find_first_not_of("0123456789abcdef") == std::string::npos);
        CHECK(id == job_id(inputs));
        CHECK(seen.insert(id).second);
    }
}

TEST_CASE("each tenant has ids of its own", "[compile][cache_key][tenants]")
{
    const std::vector<source_file> files{{"main.c", "int main(){}"}};
    const std::vector<std::string> argv{"-O2"};
    const auto id_of = [&](std::string_view owner) {
        return job_id({.files = files, .argv = argv, .toolchain = "emcc 3.1.6", .owner = owner});
    };
    CHECK(id_of("") == job_id({.files = files, .argv = argv, .toolchain = "emcc 3.1.6"}));
    CHECK(id_of("a") == id_of("a"));
    CHECK(id_of("a") != id_of(""));
    CHECK(id_of("a") != id_of("b"));
}
