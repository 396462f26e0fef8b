// Requests and answers as bytes, between the server and its workers. Both ends are the same build, so there is no
// version and nothing optional. But a script may have taken over its worker, so the server trusts nothing that it
// reads: it checks lengths, numbers, texts and JSON.
//
// A frame is a 32-bit little-endian length and that many bytes. It travels over a socket of messages (SOCK_SEQPACKET),
// in as few as possible, none of which has anything of another frame: so one that fits a single message is there or
// not, and can be taken back as a whole while nobody has read it.
#pragma once

#include "base/errc.hpp"
#include "script/run.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sandboxd::script {

inline constexpr std::uint32_t frame_header_bytes{4};
// Larger frames are refused on both sides.
inline constexpr std::uint32_t max_frame_bytes{160U << 20};
// Below what the kernel lets a socket hold (net.core.wmem_default).
inline constexpr std::size_t max_message_bytes{64U << 10};

// Includes the frame's header. `number` is the request's; the answer repeats it, so that a late or repeated answer is
// never mistaken for that of the next request.
std::string encode_frame(const run_request& request, std::uint64_t number);
std::string encode_frame(const run_answer& answer, std::uint64_t number);

// The longest frame, without its header, that can be this request's answer.
std::uint64_t max_answer_bytes(const run_request& request) noexcept;

template <class Message>
struct numbered {
    std::uint64_t number{0};
    Message message;
};

// The length that a header announces.
std::uint32_t frame_size(std::string_view header) noexcept;

// Without the header. Errors: internal, when the bytes are not a valid message.
result<numbered<run_request>> decode_request(std::string_view body);
result<numbered<run_answer>> decode_answer(std::string_view body);

// Whether an answer keeps the limits of its request: the lengths of result, console and image.
bool keeps_to(const run_answer& answer, const run_request& request) noexcept;

}  // namespace sandboxd::script
