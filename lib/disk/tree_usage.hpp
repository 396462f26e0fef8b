// What a directory tree occupies, walked in turns: for trees that somebody else writes while they are looked at.
#pragma once

#include "async/turns.hpp"
#include "base/errc.hpp"
#include "base/unique_fd.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace sandboxd::disk {

struct tree_caps {
    std::uint64_t max_bytes{256u << 20};  // blocks in use, not sizes: a sparse file counts what it occupies
    std::uint64_t max_inodes{4096};       // names, directories included
    std::size_t max_depth{32};            // directories within directories; at most 64
};

struct used_space {
    std::uint64_t bytes{};
    std::uint64_t inodes{};
    // Which cap was passed first, in words for a person ("holds more than 4096 files"); empty when
    // none was. The walk ends there, so the numbers are then lower bounds.
    std::string over;
};

// Walks what is below `top` without following links and no further than the caps, and adds it to `used`. A file with
// several names counts once for each name. A directory that cannot be read counts as over the caps, unless that is
// due to a lack of descriptors or memory here: then only a part was counted. About 1 µs a name, in turns.
boost::asio::awaitable<used_space> tree_usage(unique_fd top, tree_caps caps, async::turns& turn, used_space used = {});

}  // namespace sandboxd::disk
