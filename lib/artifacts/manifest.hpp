// What `.entry.json` says about an entry: its files with size and digest, each also in its
// compressed forms, and its record. It is read back as untrusted input: the disk may have lost half
// of it.
#pragma once

#include "artifacts/store.hpp"
#include "base/errc.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::artifacts {

constexpr std::size_t most_files = 1024;
constexpr std::size_t longest_manifest = 1u << 20;
constexpr std::size_t longest_record = 16u << 20;

// One sequence of bytes on disk. An empty digest: there is none.
struct form {
    std::uint64_t bytes{};
    std::string sha256;

    bool there() const noexcept { return !sha256.empty(); }
};

struct stored_file {
    std::string name;
    std::array<form, 3> forms;  // by encoding; `identity` is always there

    form& in(encoding coding) { return forms[static_cast<std::size_t>(coding)]; }
    const form& in(encoding coding) const { return forms[static_cast<std::size_t>(coding)]; }
};

struct manifest {
    std::vector<stored_file> files;
    form record;
};

// The name of a form on disk: `app.js`, `.app.js.gz`, `.app.js.br`. Artifacts have no leading dot,
// so what a job calls `app.js.gz` is never taken for the compressed form of something else.
std::string form_name(std::string_view artifact, encoding coding);

std::string to_json(const manifest& from);

// Errors: invalid_request, naming the field that is wrong.
result<manifest> manifest_from_json(std::string_view text);

}  // namespace sandboxd::artifacts
