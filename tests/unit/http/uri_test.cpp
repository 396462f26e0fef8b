#include "http/uri.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace sandboxd::http;

TEST_CASE("a segment '.' or '..' is found in every spelling, and only there", "[http][uri]")
{
    for (const char* path : {"/%25%32%65/x",  "/%2%65/x",    "/%%32e/x",    "/%e0%80%ae/x", "/%f0%80%80%ae%2e/x",
                             "/%25%35c..%5c", "/.",          "/..",         "/../a",        "/a/.",
                             "/a/..",         "/a/./b",      "/a/../b",     "/%2e",         "/%2E%2e/a",
                             "/.%2e/a",       "/%2e./a",     "/a/%2e%2e",   "/a%2f..",      "/a%2F%2e%2E%2fb",
                             "/a\\..\\b",     "/a%5c..%5cb", "/a/..\\b",    "/..;/a",       "/..;x=1/a",
                             "/.;/a",         "/..%3bx/a",   "/%252e%252e", "/%252e./a",    "/%25252e/a",
                             "/a%252f../b",   "/..%255ca",   "/..%00/a",    "/..%00.js",    "/%c0%ae./a",
                             "/%c0%ae%c0%ae", "/..%c0%af/a", "//..//a",     "/a//../b",     "/a/..#b",
                             "/%25c0%25ae/a", "..",          "/a/b/c/d/..", "/.%252E/x",    "/..%2f",
                             "/%2e%2f/x",     "/...%2f.",    "/..%23x",     "/.%09./a",     "/.%0a.",
                             "/%0d..%0d/x"}) {
        INFO(path);
        CHECK(has_dot_segment(path));
    }
    for (const char* path : {"/",       "",     "/...",    "/a..b",  "/..a",       "/a..",   "/.well-known/x",
                             "/.a",     "/a.",  "/a/b.c/", "//",     "/%2e%2e%2e", "/%2ea",  "/a%2e%2e",
                             "/..%20",  "/%",   "/%2",     "/%zz",   "/%2g./a",    "/;../a", "/;..",
                             "/a;/..b", "/%25", "/%25252", "/.%",    "/%e2%80%a6", "*",      "/....//....",
                             "/a%c0",   "/%c0", "/.%c0",   "/%25zz", "/. /",       "/.%09a", "/.%09.%0a./"}) {
        INFO(path);
        CHECK_FALSE(has_dot_segment(path));
    }
    // However long: each character is looked at once.
    CHECK_FALSE(has_dot_segment("/" + std::string(100'000, '%')));
    std::string nested = "/%";
    for (int i = 0; i < 50'000; ++i) nested += "25";
    CHECK(has_dot_segment(nested + "2e"));
    CHECK_FALSE(has_dot_segment(nested + "61"));
}

TEST_CASE("a target is taken apart", "[http][uri]")
{
    const auto parts = [](const char* target) {
        const auto got = split_target(target);
        return (got.authority ? std::string{*got.authority} : "none") + " " + std::string{got.path} + " " +
               std::string{got.query};
    };
    CHECK(parts("/a/b?c?d") == "none /a/b c?d");
    CHECK(parts("/") == "none / ");
    CHECK(parts("//a/b") == "none //a/b ");
    CHECK(parts("*") == "none * ");
    CHECK(parts("http://h:1/a?b") == "h:1 /a b");
    CHECK(parts("https://h") == "h / ");
    CHECK(parts("http://h?a=/b/../c") == "h / a=/b/../c");
    CHECK(parts("http:///a") == " /a ");
}

TEST_CASE("an authority is a host with an optional port, or none", "[http][uri]")
{
    const auto read = [](std::string_view text) {
        const auto got = read_authority(text);
        return got ? std::string{got->host} + "|" + std::string{got->port} : "none";
    };
    CHECK(read("") == "|");
    CHECK(read("a") == "a|");
    CHECK(read("A-b_c.d~e.:80") == "A-b_c.d~e.|80");
    CHECK(read("a:") == "a|");
    CHECK(read("127.0.0.1:65535") == "127.0.0.1|65535");
    CHECK(read("[::1]") == "[::1]|");
    CHECK(read("[2001:db8::1]:8080") == "[2001:db8::1]|8080");
    for (const char* none :
         {"a:80:90", "a:x", "a:-1", "a:65536", "a:000080", "a..",         "a..b",      ".a",     ".",
          "..",      ":80", "::1",  "a]",      "[a]",      "[]",          "[::1",      "[::1]a", "[::1%25lo]",
          "a%2eb",   "u@a", "a/b",  "a b",     "a\\b",     "caf\xc3\xa9", "[1.2.3.4]", "a!b",    "*"}) {
        INFO(none);
        CHECK(read(none) == "none");
    }
    CHECK(read("[::1]:") == "[::1]|");
}

TEST_CASE("only what names a host can stand in a URL", "[http]")
{
    for (const auto* text : {"a", "a.example:8080", "127.0.0.1", "[::1]:80"}) CHECK(is_authority(text));
    for (const auto* text : {"", "a b", "a@b", "a/b", "a:80:90", "a..b", "%41", "[::1"})
        CHECK_FALSE(is_authority(text));
}
