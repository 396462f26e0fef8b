#include "base/errc.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string>

using namespace sandboxd;

namespace {

constexpr int first = static_cast<int>(errc::invalid_request);
constexpr int last = static_cast<int>(errc::internal);

}  // namespace

TEST_CASE("every error has a name of its own, fit for the wire, and a sentence", "[base][errc]")
{
    STATIC_CHECK(first == 1);
    std::set<std::string_view> names;
    std::set<std::string_view> sentences;
    for (int value = first; value <= last; ++value) {
        const auto code = static_cast<errc>(value);
        CAPTURE(value, name(code));
        // Also fails for an enumerator that describe() has forgotten: it is called "internal", as
        // the last.
        CHECK(names.insert(name(code)).second);
        CHECK(sentences.insert(sentence(code)).second);
        CHECK(name(code).size() > 1);
        CHECK(std::ranges::all_of(name(code), [](char c) { return c == '_' || (c >= 'a' && c <= 'z'); }));
        CHECK(sentence(code).size() > 10);
        CHECK(sentence(code).find_first_of("\r\n\t\"\\") == std::string_view::npos);
        CHECK_FALSE(sentence(code).ends_with('.'));
    }
    // Clients depend on these.
    CHECK(name(errc::compile_error) == "compile_error");
    CHECK(name(errc::timeout) == "timeout");
    CHECK(name(errc::output_limit) == "output_limit");
    CHECK(name(errc::memory_limit) == "memory_limit");
    CHECK(name(errc::queue_full) == "queue_full");
    CHECK(name(errc::queue_timeout) == "queue_timeout");
    CHECK(name(errc::draining) == "draining");
    CHECK(name(errc::invalid_request) == "invalid_request");
    CHECK(name(errc::unsupported_media_type) == "unsupported_media_type");
    CHECK(name(errc::internal) == "internal");
}

TEST_CASE("what is no enumerator is named internal", "[base][errc]")
{
    for (const int value : {0, -1, last + 1, 10'000}) {
        CHECK(name(static_cast<errc>(value)) == "internal");
        CHECK(sentence(static_cast<errc>(value)) == sentence(errc::internal));
    }
}

TEST_CASE("a result's unhandled error becomes an exception that says what and where", "[base][errc]")
{
    CHECK(make_error(errc::queue_full).message == sentence(errc::queue_full));
    CHECK(error{}.code == errc::internal);

    const result<int> good{7};
    CHECK(good.value() == 7);
    const result<int> bad{error{errc::io, "the disk is gone"}};
    CHECK(bad.error().code == errc::io);
    try {
        (void)bad.value();
        FAIL("no exception");
    } catch (const std::logic_error& e) {
        const std::string what = e.what();
        CAPTURE(what);
        CHECK(what.find("'io'") != std::string::npos);
        CHECK(what.find("the disk is gone") != std::string::npos);
        CHECK(what.find("errc_test.cpp") != std::string::npos);
    }
}
