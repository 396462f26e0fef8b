// What the action cache has of an entry of the artifact store: its files by name, size and digest, and the digest of
// its record, signed. Pure: bytes in, values out.
//
// The bytes are an ActionResult of Bazel's remote execution API (protocol buffers), since caches look at what they are
// given: bazel-remote takes no other, and keeps the blobs that `output_files` names for as long as the entry. We
// ourselves read nothing but `stdout_raw`:
//
//     <HMAC-SHA-256 of the id and the text, 64 hex digits> LF <the text, JSON>
//
// Who can write to the cache can change everything there, except what the fleet's key has signed: the name and digest
// of each file, and the entry that they belong to.
#pragma once

#include "artifacts/collect.hpp"
#include "base/errc.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::remote {

struct blob {
    std::uint64_t bytes{};
    std::string sha256;  // 64 lower-case hex digits
};

struct named_blob {
    std::string name;
    blob what;
};

struct shared_entry {
    std::string id;
    std::vector<named_blob> files;
    blob record;
};

// The fleet's key.
class signing_key {
public:
    static constexpr std::size_t least_bytes = 32;

    explicit signing_key(std::string secret) : secret_{std::move(secret)} {}

    // The key of an entry in the action cache, 64 hex digits. Fleets with other keys have other places.
    std::string place_of(std::string_view id) const;
    // Of an entry's text, 64 hex digits.
    std::string sign(std::string_view id, std::string_view text) const;
    // In a time that does not depend on where they differ.
    bool is_signed(std::string_view id, std::string_view text, std::string_view signature) const;

private:
    std::string secret_;
};

// Longer documents are not read.
constexpr std::size_t longest_document = 64 * 1024;

std::string write_document(const shared_entry& from, const signing_key& key);

// Errors: forbidden (not signed by this key for this id), invalid_request (signed, but not an entry that this server
// would store: names, sizes and number of files by the rules of `collect`).
result<shared_entry> read_document(std::string_view bytes, std::string_view id, const signing_key& key,
                                   const artifacts::collect_caps& caps);

}  // namespace sandboxd::remote
