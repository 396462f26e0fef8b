#include "base/digest.hpp"

#include <catch2/catch_test_macros.hpp>

#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd;
using namespace std::string_literals;

namespace {

using fields = std::vector<std::string>;

std::string of_fields(const fields& given)
{
    sha256 hash;
    for (const auto& one : given) hash.field(one);
    return to_hex(hash.finish());
}

}  // namespace

TEST_CASE("SHA-256 gives what FIPS 180 gives", "[base][digest]")
{
    struct row {
        std::string given;
        const char* expected;
    };
    // https://csrc.nist.gov/projects/cryptographic-standards-and-guidelines/example-values
    // and the SHA-256 short-message vectors of the NIST validation suite.
    const row rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrs"
         "mnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
        {"\xd3", "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1"},
        {"\xbd", "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b"},
        {std::string(1, '\0'), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
        {std::string(1'000'000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.given.size(), row.expected);
        CHECK(to_hex(sha256_of(row.given)) == row.expected);
        // The same in pieces of every awkward size around the block of 64 bytes.
        for (const std::size_t step : {1u, 3u, 63u, 64u, 65u, 4096u}) {
            if (row.given.size() > 1000 && step < 63) continue;
            sha256 hash;
            for (std::size_t at = 0; at < row.given.size(); at += step)
                hash.update(std::string_view{row.given}.substr(at, step));
            CHECK(to_hex(hash.finish()) == row.expected);
        }
    }
}

TEST_CASE("a finished hash starts anew", "[base][digest]")
{
    sha256 hash;
    hash.update("something");
    (void)hash.finish();
    hash.update("abc");
    CHECK(hash.finish() == sha256_of("abc"));
}

TEST_CASE("a field is its size in eight little-endian bytes, then its bytes", "[base][digest]")
{
    CHECK(of_fields({"abc"}) == to_hex(sha256_of("\x03\0\0\0\0\0\0\0abc"s)));
    CHECK(of_fields({""}) == to_hex(sha256_of("\0\0\0\0\0\0\0\0"s)));
    const std::string long_one(0x0102, 'x');
    CHECK(of_fields({long_one}) == to_hex(sha256_of("\x02\x01\0\0\0\0\0\0"s + long_one)));
}

TEST_CASE("sequences of fields that read alike when strung together hash apart", "[base][digest]")
{
    const fields rows[] = {
        {},
        {""},
        {"", ""},
        {"ab"},
        {"a", "b"},
        {"", "ab"},
        {"ab", ""},
        {"b", "a"},
        {"a\0b"s},
        {"a", "\0b"s},
        {"\x01\0\0\0\0\0\0\0a"s},
        {"a", "", "b"},
    };
    std::set<std::string> seen;
    for (const auto& row : rows) CHECK(seen.insert(of_fields(row)).second);
}

TEST_CASE("hexadecimal has two lower-case digits a byte", "[base][digest]")
{
    const std::uint8_t bytes[] = {0x00, 0x0f, 0xf0, 0xff, 0x1a};
    CHECK(to_hex(bytes, 5) == "000ff0ff1a");
    CHECK(to_hex(bytes, 0).empty());
}

TEST_CASE("random_hex is as long as asked, and never the same", "[base][digest]")
{
    CHECK(random_hex(0).empty());
    std::set<std::string> seen;
    for (int i = 0; i < 100; ++i) {
        const auto text = random_hex(16);
        CHECK(text.size() == 32);
        CHECK(text.find_first_not_of("0123456789abcdef") == std::string::npos);
        CHECK(seen.insert(text).second);
    }
    // More than getrandom(2) gives at once without interruption.
    CHECK(random_hex(1000).size() == 2000);
}
