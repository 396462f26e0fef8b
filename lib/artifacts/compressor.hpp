// gzip (RFC 1952) and brotli (RFC 7932) behind one interface. The input comes piece by piece, so that the caller can
// let others work in between.
#pragma once

#include "artifacts/store.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sandboxd::artifacts {

class compressor {
public:
    virtual ~compressor() = default;
    compressor() = default;
    compressor(const compressor&) = delete;
    compressor& operator=(const compressor&) = delete;

    // Appends the output for this piece to `out`. `last` ends the stream. False: the library ran out of memory, and
    // the stream is useless.
    virtual bool feed(std::string_view piece, bool last, std::string& out) = 0;
};

// Pieces of this size keep one call to `feed` to a few milliseconds.
constexpr std::size_t compressor_piece = 32 * 1024;

// Null for `identity` and when the library has no memory. `total` is the size of what will be fed.
std::unique_ptr<compressor> make_compressor(encoding coding, std::uint64_t total);

}  // namespace sandboxd::artifacts
