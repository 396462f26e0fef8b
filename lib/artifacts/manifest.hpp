// The contents of `.entry.json`: an entry's files with size and digest, each also in its compressed forms, and the
// entry's record. Reading treats it as untrusted, because the disk may have lost half of it.
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

// One form of a file on disk. An empty digest: it does not exist.
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

// The name of a form on disk: `app.js`, `.app.js.gz`, `.app.js.br`. Artifacts have no leading dot, so a job's
// `app.js.gz` is never mistaken for a compressed form.
std::string form_name(std::string_view artifact, encoding coding);

std::string to_json(const manifest& from);

// Errors: invalid_request, naming the field that is wrong.
result<manifest> manifest_from_json(std::string_view text);

}  // namespace sandboxd::artifacts
