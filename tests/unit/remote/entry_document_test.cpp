#include "remote/entry_document.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <functional>
#include <set>
#include <string>

using namespace sandboxd;
using namespace sandboxd::remote;

namespace {

const std::string id(32, 'a');
const signing_key key{std::string(32, 'k')};

shared_entry sound()
{
    return {.id = id,
            .files = {{"app.js", {90937, std::string(64, '1')}}, {"app.wasm", {11974, std::string(64, '2')}}},
            .record = {120, std::string(64, '3')}};
}

result<shared_entry> read(std::string_view bytes, const artifacts::collect_caps& caps = {})
{
    return read_document(bytes, id, key, caps);
}

}  // namespace

TEST_CASE("a document is read as it was written", "[remote]")
{
    const auto bytes = write_document(sound(), key);
    const auto got = read(bytes);
    REQUIRE(got.has_value());
    CHECK(got->id == id);
    REQUIRE(got->files.size() == 2);
    CHECK(got->files[1].name == "app.wasm");
    CHECK(got->files[1].what.bytes == 11974);
    CHECK(got->files[1].what.sha256 == std::string(64, '2'));
    CHECK(got->record.bytes == 120);
    CHECK(got->record.sha256 == std::string(64, '3'));

    // A compile that failed has no files.
    auto none = sound();
    none.files.clear();
    CHECK(read(write_document(none, key))->files.empty());

    // Caches add fields, and order them as they like.
    CHECK(read("\x20\x01" + bytes + "\x3d____\x39________\x42\x02xy").has_value());

    // The places are digests, one for each id and key.
    const signing_key other{std::string(32, 'o')};
    const std::string other_id(32, 'b');
    const std::set<std::string> places{key.place_of(id), key.place_of(other_id), other.place_of(id)};
    CHECK(places.size() == 3);
    CHECK(places.begin()->size() == 64);
}

TEST_CASE("nothing of a document can be changed", "[remote]")
{
    const auto bytes = write_document(sound(), key);
    std::size_t refused = 0;
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        for (const int bit : {0, 3, 7}) {
            auto changed = bytes;
            changed[at] = static_cast<char>(changed[at] ^ 1 << bit);
            const auto got = read(changed);
            if (!got) {
                ++refused;
                continue;
            }
            // What is not signed is not read either.
            CHECK(got->files[0].what.sha256 == std::string(64, '1'));
            CHECK(got->files[1].name == "app.wasm");
        }
    }
    CHECK(refused > 500);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const auto got = read(std::string_view{bytes}.substr(0, size));
        if (got) CHECK(got->files.size() == 2);  // the metadata alone is missing
    }

    const signing_key other{std::string(32, 'o')};
    CHECK(read(write_document(sound(), other)).error().code == errc::forbidden);
    auto of_other = sound();
    of_other.id = std::string(32, 'b');
    CHECK(read(write_document(of_other, key)).error().code == errc::forbidden);
    CHECK(read(bytes + bytes).error().code == errc::forbidden);
    CHECK(read("").error().code == errc::forbidden);
    CHECK(read("<!doctype html><title>Welcome to nginx!</title>").error().code == errc::forbidden);
    CHECK(read(std::string(60'000, '\xff')).error().code == errc::forbidden);
}

TEST_CASE("a document is held against the rules for what a job leaves", "[remote]")
{
    const artifacts::collect_caps caps{.max_files = 3, .max_bytes_each = 100'000, .max_bytes_total = 150'000};
    const auto refused = [&caps](const std::function<void(shared_entry&)>& change) {
        auto one = sound();
        change(one);
        const auto got = read(write_document(one, key), caps);
        if (got) return std::string{"taken"};
        return got.error().code == errc::invalid_request ? std::string{} : got.error().message;
    };
    REQUIRE(read(write_document(sound(), key), caps).has_value());
    for (const std::string name : {"", ".", "..", "../app.js", "a/b", "/etc/passwd", ".record", ".entry.json", "a\\b",
                                   "a b", "app.js\n", "\xc3\xa4"}) {
        CAPTURE(name);
        CHECK(refused([&](auto& one) { one.files[0].name = name; }).empty());
    }
    CHECK(refused([](auto& one) { one.files[0].name = std::string(201, 'a'); }).empty());
    CHECK(refused([](auto& one) { one.files[1].name = "app.js"; }).empty());
    for (const auto& digest : {std::string{}, std::string(63, '1'), std::string(65, '1'), std::string(64, 'A'),
                               std::string(64, 'g'), "../" + std::string(61, '1')}) {
        CAPTURE(digest);
        CHECK(refused([&](auto& one) { one.files[0].what.sha256 = digest; }).empty());
        CHECK(refused([&](auto& one) { one.record.sha256 = digest; }).empty());
    }
    CHECK(refused([](auto& one) { one.files[0].what.bytes = 100'001; }).empty());
    CHECK(refused([](auto& one) { one.files[0].what.bytes = one.files[1].what.bytes = 76'000; }).empty());
    CHECK(refused([](auto& one) { one.files[0].what.bytes = ~std::uint64_t{0}; }).empty());
    CHECK(refused([](auto& one) { one.record.bytes = (16u << 20) + 1; }).empty());
    CHECK(refused([](auto& one) {
              one.files.push_back({"a", {1, std::string(64, '4')}});
              one.files.push_back({"b", {1, std::string(64, '4')}});
          }).empty());
}
