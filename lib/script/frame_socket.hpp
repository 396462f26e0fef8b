// Frames over a socket of messages (SOCK_SEQPACKET), by blocking calls: a worker's side. read(2) and write(2) are all
// they make, which is what a confined worker may.
#pragma once

#include "script/frame.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::script {

// Waits for the next frame, whose length it believes, and returns it without its header; it stays in `buffer`. Nothing
// when the other side has gone, or sends what is no frame.
std::optional<std::string_view> receive_frame(int from, std::string& buffer);

// Sends a frame as encode_frame made it. False when not all of it could be sent.
bool send_frame(int to, std::string_view frame);

}  // namespace sandboxd::script
