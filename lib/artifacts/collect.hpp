// Picks up what a job left in its output directory.
//
// That directory is written by hostile code and is never trusted: a name in it may be a symbolic
// link out of the jail, a FIFO that would block whoever opens it, a hard link to somebody else's
// file, or a sparse file of a terabyte. A file is opened beneath the directory, without following
// links, across no mount point and without blocking (openat2(2)), and only then looked at, through
// its descriptor; what is not a plain file with one name and a reasonable size is refused, and the
// error says which it was and what.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sandboxd::artifacts {

// A file picked up from a job, open for reading, not yet in the store. Whoever wrote it may still
// be able to change it: `store::publish` takes a copy and checks that it has `bytes` bytes.
struct collected {
    std::string name;
    unique_fd file;
    std::uint64_t bytes{};
};

struct collect_caps {
    std::size_t max_files{32};                  // names in the answer
    std::uint64_t max_bytes_each{64u << 20};    // st_size of one file
    std::uint64_t max_bytes_total{128u << 20};  // st_size of all of them together
};

// The files called `names` in the directory open as `out_dir`, in that order. A name that is not
// there is left out (the caller knows which it needs); everything else in the directory is left
// alone and unlisted. Errors: artifact_rejected (not a plain file, a hard link, unreadable, too
// large, too many), io.
result<std::vector<collected>> collect(int out_dir, std::span<const std::string> names, const collect_caps& caps);

// Every file in the directory, sorted by name. Anything in it that is not a plain file with a plain
// name (see names.hpp), also a directory, is an error; the listing ends at the first name beyond
// `max_files`. Errors: as above.
result<std::vector<collected>> collect_all(int out_dir, const collect_caps& caps);

}  // namespace sandboxd::artifacts
