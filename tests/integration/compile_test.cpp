// Compiling from end to end: the real binary, the real jail, the real emcc.
#include "base/digest.hpp"
#include "support/eventually.hpp"
#include "support/http_client.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>

using namespace sandboxd::test;
namespace json = boost::json;

namespace {

constexpr const char* hello = "#include <stdio.h>\nint main(void) { puts(\"hi\"); return 0; }\n";

std::string text(const json::value& object, std::string_view key) { return std::string{object.at(key).as_string()}; }

double milliseconds(const json::value& answer, std::string_view which)
{
    return answer.at("timings").at(which).to_number<double>();
}

const json::value* artifact(const json::value& answer, std::string_view name)
{
    for (const auto& one : answer.at("artifacts").as_array()) {
        if (text(one, "name") == name) return &one;
    }
    return nullptr;
}

}  // namespace

TEST_CASE("one source becomes a module, and the second time it comes from the store", "[compile]")
{
    const temporary_directory work;
    json::value first;
    std::string wasm;
    {
        server_process server{{.working_dir = work.path()}};
        http_client client{server};
        const auto answer = client.post("/compile", {{"code", hello}});
        REQUIRE(answer.status == 200);
        first = answer.json();
        CHECK(first.at("ok").as_bool());
        CHECK_FALSE(first.at("cached").as_bool());
        CHECK(text(first, "id").size() == 32);
        CHECK(text(first, "id").find_first_not_of("0123456789abcdef") == std::string::npos);
        CHECK(first.at("ignoredArgs").as_array().empty());
        CHECK(first.at("diagnostics").as_array().empty());
        CHECK_FALSE(first.at("truncated").as_bool());
        CHECK(milliseconds(first, "compileMs") > 0);
        CHECK(milliseconds(first, "totalMs") >= milliseconds(first, "compileMs"));
        CHECK(server.clean());

        REQUIRE(first.at("artifacts").as_array().size() == 2);
        for (const auto& one : first.at("artifacts").as_array()) {
            const auto file = client.get(text(one, "url"));
            INFO(text(one, "name"));
            CHECK(file.status == 200);
            CHECK(text(one, "url") == "/artifacts/" + text(first, "id") + "/" + text(one, "name"));
            CHECK(one.at("bytes").to_number<std::size_t>() == file.body.size());
            CHECK(text(one, "sha256") == sandboxd::to_hex(sandboxd::sha256_of(file.body)));
        }
        wasm = client.get(text(first, "wasm")).body;

        const auto again = client.post("/compile", {{"code", hello}}).json();
        CHECK(again.at("cached").as_bool());
        CHECK(again.at("id") == first.at("id"));
        CHECK(again.at("artifacts") == first.at("artifacts"));
        CHECK(again.at("log") == first.at("log"));
        // What does not change the result does not change the key.
        CHECK(client.post("/compile", {{"code", hello}, {"type", "C"}, {"args", json::array{"-nonsense"}}})
                  .json()
                  .at("cached")
                  .as_bool());

        const auto forced = client.post("/compile", {{"code", hello}, {"cache", false}});
        CHECK(forced.status == 200);
        CHECK_FALSE(forced.json().at("cached").as_bool());
        CHECK(forced.json().at("id") == first.at("id"));
        CHECK(server.metric("sandboxd_cache_requests_total{from=\"compiler\"}") == 2);
        CHECK(server.metric("sandboxd_cache_requests_total{from=\"store\"}") == 2);
        CHECK(server.metric("sandboxd_compile_seconds_count") == 3);  // the probe's hello is one
        CHECK(server.clean());
        CHECK(server.stop().code == 0);
    }
    server_process server{{.working_dir = work.path()}};
    http_client client{server};
    const auto later = client.post("/compile", {{"code", hello}});
    CHECK(later.status == 200);
    CHECK(later.json().at("cached").as_bool());
    CHECK(later.json().at("artifacts") == first.at("artifacts"));
    CHECK(client.get(text(first, "wasm")).body == wasm);
}

TEST_CASE("several files: sources of both languages, headers, data", "[compile]")
{
    server_process server;
    http_client client{server};

    const json::array sources{
        {{"path", "src/main.cpp"},
         {"content",
          "#include \"../include/deep/sum.h\"\n#include <cstdio>\n"
          "int main() { std::printf(\"%d\\n\", sum(1, 2)); }\n"}},
        {{"path", "lib/sum.c"},
         {"content", "#include \"../include/deep/sum.h\"\nint sum(int a, int b) { return a + b; }\n"}},
        {{"path", "include/deep/sum.h"},
         {"content", "#ifdef __cplusplus\nextern \"C\"\n#endif\nint sum(int a, int b);\n"}},
        {{"path", "data/level.txt"}, {"content", "a level of forty-two monsters"}},
    };
    const auto mixed =
        client.post("/compile", {{"files", sources}, {"args", json::array{"-sEXPORTED_FUNCTIONS=_main,_sum"}}});
    REQUIRE(mixed.status == 200);
    CHECK(client.get(text(mixed.json(), "js")).body.find("_sum") != std::string::npos);

    const auto embedded =
        client.post("/compile", {{"files", sources}, {"args", json::array{"--embed-file", "data/level.txt"}}});
    REQUIRE(embedded.status == 200);
    CHECK(embedded.json().at("ignoredArgs").as_array().empty());
    CHECK(artifact(embedded.json(), "app.data") == nullptr);

    const auto preloaded = client.post(
        "/compile", {{"files", sources}, {"args", json::array{"--preload-file", "data/level.txt@levels/1.txt"}}});
    REQUIRE(preloaded.status == 200);
    const auto answer = preloaded.json();
    const auto* data = artifact(answer, "app.data");
    REQUIRE(data != nullptr);
    const auto bytes = client.get(text(*data, "url"));
    CHECK(bytes.body == "a level of forty-two monsters");
    CHECK(bytes.field("content-type") == "application/octet-stream");
    CHECK(client.get(text(answer, "js")).body.find("levels/1.txt") != std::string::npos);

    // What is no text, and one of the sources, in base64.
    const json::array encoded{
        {{"path", "main.c"}, {"content", "aW50IG1haW4odm9pZCkgeyByZXR1cm4gMDsgfQo="}, {"encoding", "base64"}},
        {{"path", "level.bin"}, {"content", "AP+AwwA="}, {"encoding", "base64"}},
    };
    const auto binary =
        client.post("/compile", {{"files", encoded}, {"args", json::array{"--preload-file", "level.bin"}}});
    INFO(binary.body);
    REQUIRE(binary.status == 200);
    const auto of_binary = binary.json();
    data = artifact(of_binary, "app.data");
    REQUIRE(data != nullptr);
    CHECK(client.get(text(*data, "url")).body == std::string{"\0\xff\x80\xc3\0", 5});

    const auto foreign =
        client.post("/compile", {{"files", sources}, {"args", json::array{"--embed-file", "/etc/passwd"}}});
    CHECK(foreign.status == 400);
    CHECK(foreign.json().at("code").as_string() == "invalid_request");
    CHECK(text(foreign.json(), "error").find("--embed-file") != std::string::npos);

    const auto nothing = client.post("/compile", {{"files", json::array{{{"path", "a.h"}, {"content", ""}}}}});
    CHECK(nothing.status == 400);
    CHECK(text(nothing.json(), "error").find("nothing to compile") != std::string::npos);
    CHECK(server.clean());
}

TEST_CASE("C stays C beside C++, and each language has its own standard", "[compile]")
{
    server_process server;
    http_client client{server};
    // `class` is a name in C alone; each standard is looked at where it counts.
    const json::array sources{
        {{"path", "util.c"},
         {"content",
          "#include \"util.h\"\n#if defined WANT_C11 && __STDC_VERSION__ != 201112L\n#error not C11\n#endif\n"
          "int twice(int class) { return 2 * class; }\n"}},
        {{"path", "main.cpp"},
         {"content",
          "extern \"C\" {\n#include \"util.h\"\n}\n#include <vector>\n"
          "#if defined WANT_CPP20 && __cplusplus < 202002L\n#error not C++20\n#endif\n"
          "int main() { std::vector<int> all{1, 2}; return twice(all[1]); }\n"}},
        {{"path", "util.h"}, {"content", "int twice(int);\n"}},
    };
    for (const auto& args :
         {json::array{}, json::array{"-sSTRICT"}, json::array{"-std=c11", "-DWANT_C11", "-std=c++20", "-DWANT_CPP20"},
          json::array{"-std=c++20", "-DWANT_CPP20", "-sSTRICT", "-sMODULARIZE", "-Werror"}}) {
        const auto answer = client.post("/compile", {{"files", sources}, {"args", args}, {"strict", true}});
        INFO(answer.body);
        REQUIRE(answer.status == 200);
        CHECK(answer.json().at("ignoredArgs").as_array().empty());
        CHECK(answer.json().at("diagnostics").as_array().empty());
        CHECK(answer.json().at("artifacts").as_array().size() == 2);
    }

    // Whichever command says no, its words are the answer.
    auto broken = sources;
    broken.push_back({{"path", "more.c"}, {"content", "int more(void) { return nothing; }\n"}});
    const auto in_c = client.post("/compile", {{"files", broken}, {"args", json::array{"-std=c++20"}}});
    CHECK(in_c.status == 400);
    CHECK(text(in_c.json().at("diagnostics").at(0), "file") == "more.c");
    broken.back() = {{"path", "more.c"}, {"content", "int main(void) { return 0; }\n"}};
    const auto linked = client.post("/compile", {{"files", broken}, {"args", json::array{"-std=c++20"}}});
    INFO(linked.body);
    CHECK(linked.status == 400);
    const auto twice = linked.json();
    REQUIRE(twice.at("diagnostics").as_array().size() == 1);
    CHECK(text(twice.at("diagnostics").at(0), "message") == "duplicate symbol: main");
    const auto& notes = twice.at("diagnostics").at(0).at("notes").as_array();
    REQUIRE(notes.size() == 2);
    CHECK(text(notes[0], "file") == "main.cpp");
    CHECK(text(notes[1], "file") == "more.c");
    CHECK(server.clean());
}

TEST_CASE("strings in macros and places of files are written as in Makefiles and manuals", "[compile][arguments]")
{
    server_process server;
    http_client client{server};
    const char* wanted =
        "#include <assert.h>\nstatic_assert(sizeof VERSION == 4, VERSION);\nint main(void) { return 0; }\n";
    for (const auto* macro : {"-DVERSION='\"1.0\"'", "-DVERSION=\\\"1.0\\\""}) {
        const auto answer =
            client.post("/compile", {{"code", wanted}, {"args", json::array{macro, "-std=c11"}}, {"strict", true}});
        INFO(answer.body);
        CHECK(answer.status == 200);
    }
    const json::array files{
        {{"path", "main.c"},
         {"content", "#include <stdio.h>\nint main(void) { return !fopen(\"/assets/a.txt\", \"r\"); }\n"}},
        {{"path", "assets/a.txt"}, {"content", "a"}},
    };
    for (const auto* place : {"assets@/assets", "./assets@assets/", "assets/a.txt@/assets/a.txt"}) {
        const auto answer = client.post("/compile", {{"files", files}, {"args", json::array{"--preload-file", place}}});
        INFO(answer.body);
        REQUIRE(answer.status == 200);
        CHECK(client.get(text(answer.json(), "js")).body.find("\"/assets/a.txt\"") != std::string::npos);
    }
}

TEST_CASE("arguments that are not allowed are listed, dangerous ones refused", "[compile]")
{
    server_process server;
    http_client client{server};
    const auto dropped = client.post(
        "/compile",
        {{"code", hello},
         {"args", json::array{"-O1", "-march=native", "-sMODULARIZE=maybe", "-sUNKNOWN=1", "-o", "evil.js"}}});
    REQUIRE(dropped.status == 200);
    const auto body = dropped.json();
    CHECK(text(body, "js").ends_with("/app.js"));
    const auto& ignored = body.at("ignoredArgs").as_array();
    for (const auto* wanted : {"-march=native", "-sMODULARIZE=maybe", "-sUNKNOWN=1", "-o"}) {
        INFO(wanted);
        CHECK(std::any_of(ignored.begin(), ignored.end(), [&](const json::value& one) {
            return text(one, "arg").starts_with(wanted) && !text(one, "reason").empty();
        }));
    }
    CHECK(
        std::none_of(ignored.begin(), ignored.end(), [](const json::value& one) { return text(one, "arg") == "-O1"; }));

    for (const auto* dangerous : {"-sEXPORTED_FUNCTIONS=@/etc/passwd", "-sINITIAL_MEMORY=@x"}) {
        const auto refused = client.post("/compile", {{"code", hello}, {"args", json::array{dangerous}}});
        CHECK(refused.status == 400);
        CHECK(refused.json().at("code").as_string() == "invalid_request");
        CHECK(text(refused.json(), "error").find('@') != std::string::npos);
    }
}

TEST_CASE("what the compiler says is handed on, as text and in parts", "[compile]")
{
    server_process server;
    http_client client{server};

    const auto warned = client.post(
        "/compile", {{"code", "int main(void) { int unused; return 0; }\n"}, {"args", json::array{"-Wall"}}});
    REQUIRE(warned.status == 200);
    const auto good = warned.json();
    CHECK(text(good, "log").find("unused variable 'unused'") != std::string::npos);
    REQUIRE(good.at("diagnostics").as_array().size() == 1);
    const auto& warning = good.at("diagnostics").at(0);
    CHECK(text(warning, "file") == "main.c");
    CHECK(warning.at("line").to_number<int>() == 1);
    CHECK(warning.at("column").to_number<int>() == 22);
    CHECK(text(warning, "severity") == "warning");
    CHECK(text(warning, "message").starts_with("unused variable 'unused'"));

    const json::array broken{{{"path", "src/util.cpp"}, {"content", "\n  int f() { return nothing; }\n"}}};
    const auto failed = client.post("/compile", {{"files", broken}});
    CHECK(failed.status == 400);
    const auto bad = failed.json();
    CHECK_FALSE(bad.at("ok").as_bool());
    CHECK(text(bad, "code") == "compile_error");
    CHECK(text(bad, "error").find("use of undeclared identifier 'nothing'") != std::string::npos);
    CHECK(bad.at("artifacts").as_array().empty());
    REQUIRE_FALSE(bad.at("diagnostics").as_array().empty());
    const auto& error = bad.at("diagnostics").at(0);
    CHECK(text(error, "file") == "src/util.cpp");
    CHECK(error.at("line").to_number<int>() == 2);
    CHECK(error.at("column").to_number<int>() == 20);
    CHECK(text(error, "severity") == "error");

    // A compiler's no is a function of the source, too.
    const auto again = client.post("/compile", {{"files", broken}});
    CHECK(again.status == 400);
    CHECK(again.json().at("cached").as_bool());
    CHECK(again.json().at("diagnostics") == bad.at("diagnostics"));

    // A linker's no has no place in a source, but a file that names what is missing.
    const auto unlinked =
        client.post("/compile", {{"code", "int nowhere(void);\nint main(void) { return nowhere(); }"}});
    CHECK(unlinked.status == 400);
    CHECK(text(unlinked.json(), "code") == "compile_error");
    CHECK(text(unlinked.json(), "error").find("nowhere") != std::string::npos);
    CHECK(text(unlinked.json().at("diagnostics").at(0), "file") == "main.c");
    CHECK(server.clean());
}

TEST_CASE("folders, names and arguments as people have them", "[compile][arguments]")
{
    server_process server;
    http_client client{server};

    // Blanks, apostrophes, letters beyond ASCII and endings in upper case; quotes that a shell would have taken away.
    const json::array sources{
        {{"path", "gr\xc3\xb6\xc3\x9f\x65/it's main (1).CPP"},
         {"content",
          "#include \"SUM.H\"\n#include <emscripten/bind.h>\n"
          "int twice(int a) { return SQUARE(sum(a, a)); }\n"
          "EMSCRIPTEN_BINDINGS(m) { emscripten::function(\"twice\", &twice); }\n"
          "int main() { return 0; }\n"}},
        {{"path", "my headers/SUM.H"}, {"content", "inline int sum(int a, int b) { return a + b; }\n"}},
        {{"path", "data/it's.txt"}, {"content", "text"}},
    };
    const json::array args{"--bind",
                           "-I",
                           "my headers",
                           "-D'SQUARE(x)=((x)*(x))'",
                           "-sEXTRA_EXPORTED_RUNTIME_METHODS=\"['ccall']\"",
                           "-s EXPORTED_FUNCTIONS=\"['_main']\"",
                           "-sUSE_PTHREADS=0",
                           "-lm",
                           "--embed-file",
                           "data/it's.txt"};
    const auto bound = client.post("/compile", {{"files", sources}, {"args", args}, {"strict", true}});
    INFO(bound.body);
    REQUIRE(bound.status == 200);
    CHECK(client.get(text(bound.json(), "js")).body.find("_embind_register_function") != std::string::npos);
    // What changes nothing is dropped even so.
    const auto answer = bound.json();
    const auto& ignored = answer.at("ignoredArgs").as_array();
    REQUIRE(ignored.size() == 2);
    for (const auto& one : ignored) {
        CHECK_FALSE(one.at("changesProgram").as_bool());
        CHECK(text(one, "effect").starts_with("nothing"));
    }

    const auto thrown = client.post(
        "/compile",
        {{"code", "int main() { try { throw 1; } catch (int) { return 0; } return 1; }\n"},
         {"type", "cpp"},
         {"args", json::array{"-fwasm-exceptions", "-sASYNCIFY_WHITELIST=main", "-sMEMORY_GROWTH_STEP=1MB"}}});
    INFO(thrown.body);
    CHECK(thrown.status == 200);
    CHECK(thrown.json().at("ignoredArgs").as_array().empty());

    const auto paused = client.post(
        "/compile",
        {{"code", hello},
         {"args", json::array{"-sASYNCIFY", "-sASYNCIFY_ONLY=main", "-sEXCEPTION_CATCHING_WHITELIST=f",
                              "-sRESERVED_FUNCTION_POINTERS=8", "-sUSE_WEBGL2", "-iquote.", "-isystem", "."}}});
    INFO(paused.body);
    CHECK(paused.status == 200);
    CHECK(paused.json().at("ignoredArgs").as_array().empty());
}

TEST_CASE("a strict request minds what is dropped", "[compile][arguments]")
{
    const json::array lossy{"-O1", "-pthread", "-sUSE_SDL=2", "-march=native"};
    {
        server_process server;
        http_client client{server};
        const auto dropped = client.post("/compile", {{"code", hello}, {"args", lossy}});
        REQUIRE(dropped.status == 200);
        const auto answer = dropped.json();
        const auto& ignored = answer.at("ignoredArgs").as_array();
        REQUIRE(ignored.size() == 3);
        CHECK(text(ignored[0], "arg") == "-pthread");
        CHECK(text(ignored[0], "effect").find("threads") != std::string::npos);
        CHECK(ignored[0].at("changesProgram").as_bool());
        CHECK_FALSE(ignored[2].at("changesProgram").as_bool());

        const auto refused = client.post("/compile", {{"code", hello}, {"args", lossy}, {"strict", true}});
        CHECK(refused.status == 400);
        CHECK(text(refused.json(), "code") == "invalid_request");
        const auto why = text(refused.json(), "error");
        CHECK(why.find("\"-pthread\"") != std::string::npos);
        CHECK(why.find("\"-sUSE_SDL=2\"") != std::string::npos);
        CHECK(why.find("-march") == std::string::npos);
        CHECK(client.post("/compile", {{"code", hello}, {"strict", 1}}).status == 400);
    }
    // The server's own arguments are not the client's to mend.
    server_process server{{.config = R"("compile": {"strictArgs": true}, "defaultArgs": ["-sPTHREAD_POOL_SIZE=2"])"}};
    http_client client{server};
    CHECK(client.post("/compile", {{"code", hello}}).status == 200);
    CHECK(client.post("/compile", {{"code", hello}, {"args", lossy}}).status == 400);
}

TEST_CASE("answers for learners", "[compile][diagnostics]")
{
    server_process server;
    http_client client{server};

    const auto unlinked = client.post("/compile", {{"code",
                                                    "#include <string>\nint nowhere(std::string);\n"
                                                    "int main() { return nowhere(\"\"); }\n"},
                                                   {"type", "cpp"}});
    REQUIRE(unlinked.status == 400);
    const auto no = unlinked.json();
    INFO(unlinked.body);
    CHECK(text(no, "error").find("undefined symbol: nowhere(std::string)") != std::string::npos);
    for (const auto* noise : {"failed (returned", "_Z", "LLD_REPORT_UNDEFINED", "ERROR_ON_UNDEFINED",
                              "EXPORTED_FUNCTIONS", "/tmp/", "/usr/", "--"})
        CHECK(text(no, "error").find(noise) == std::string::npos);
    CHECK(text(no, "error").size() < 200);
    CHECK(text(no, "log").find("failed (returned") != std::string::npos);
    REQUIRE(no.at("diagnostics").as_array().size() == 1);
    CHECK(text(no.at("diagnostics").at(0), "message").find("nowhere(std::string)") != std::string::npos);

    const json::array twice{{{"path", "a.cpp"}, {"content", "int g() { return 1; }\nint main() { return g(); }\n"}},
                            {{"path", "lib/a.cpp"}, {"content", "int g() { return 2; }\n"}}};
    const auto duplicate = client.post("/compile", {{"files", twice}}).json();
    INFO(duplicate);
    CHECK(text(duplicate, "error").find(">>> defined in lib/a.cpp") != std::string::npos);
    CHECK(text(duplicate, "error").find(".o") == std::string::npos);
    REQUIRE_FALSE(duplicate.at("diagnostics").as_array().empty());
    const auto& both = duplicate.at("diagnostics").at(0);
    CHECK(text(both, "message") == "duplicate symbol: g()");
    CHECK(text(both, "file") == "a.cpp");
    REQUIRE(both.at("notes").as_array().size() == 2);
    CHECK(text(both.at("notes").at(1), "file") == "lib/a.cpp");

    // Inside the library, but for a line of the request's; with a column that an editor understands.
    const json::array sorts{{{"path", "main.cpp"},
                             {"content",
                              "#include <algorithm>\n#include <vector>\nstruct P { int x; };\nint main()\n{\n"
                              "    std::vector<P> v(3);\n"
                              "    /* \xc3\xa4\xc3\xb6\xc3\xbc */ std::sort(v.begin(), v.end());\n}\n"}}};
    const auto library = client.post("/compile", {{"files", sorts}}).json();
    INFO(library);
    const auto& diagnostics = library.at("diagnostics").as_array();
    REQUIRE_FALSE(diagnostics.empty());
    const auto& first = diagnostics.front();
    CHECK(text(first, "file").starts_with("/"));
    CHECK_FALSE(first.at("notes").as_array().empty());
    CHECK(text(first.at("origin"), "file") == "main.cpp");
    CHECK(first.at("origin").at("line").to_number<int>() == 7);
    const auto column = first.at("origin").at("column").to_number<int>();
    CHECK(first.at("origin").at("columnUtf16").to_number<int>() == column - 3);
    CHECK(text(library, "error").find("failed (returned") == std::string::npos);
    CHECK(client.post("/compile", {{"files", sorts}}).json().at("diagnostics") == library.at("diagnostics"));
    CHECK(server.clean());
}
