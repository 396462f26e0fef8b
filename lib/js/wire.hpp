// Requests and answers as bytes, between the server and its workers. Both ends are the same build,
// so there is no version and nothing optional; but a worker may have been taken over by what it
// ran, so the server believes nothing that it reads: lengths, numbers, texts and JSON are checked.
//
// A frame is a 32-bit little-endian length and that many bytes.
#pragma once

#include "base/errc.hpp"
#include "js/run.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace sandboxd::js {

inline constexpr std::uint32_t frame_header_bytes{4};
// Larger frames are refused on both sides.
inline constexpr std::uint32_t max_frame_bytes{160U << 20};

// With the frame's header.
std::string encode_frame(const run_request& request);
std::string encode_frame(const run_answer& answer);

// The length that a header announces.
std::uint32_t frame_size(std::string_view header) noexcept;

// Without the header. Errors: internal, when the bytes are not what the other side would have
// written.
result<run_request> decode_request(std::string_view body);
result<run_answer> decode_answer(std::string_view body);

}  // namespace sandboxd::js
