#include "script/frame_socket.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace sandboxd::script {

namespace {

// A large frame's buffer is given back instead of being kept for the next one.
constexpr std::size_t keep_buffer_bytes = 256 << 10;

}  // namespace

std::optional<std::string_view> receive_frame(int from, std::string& buffer)
{
    if (buffer.size() > keep_buffer_bytes) buffer = {};
    std::size_t have = 0;
    std::size_t need = frame_header_bytes;
    while (have < need) {
        if (buffer.size() < have + max_message_bytes) buffer.resize(have + max_message_bytes);
        const ssize_t count = ::read(from, buffer.data() + have, max_message_bytes);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return std::nullopt;
        const bool is_first = have == 0;
        have += static_cast<std::size_t>(count);
        if (!is_first) continue;
        if (have < frame_header_bytes || frame_size(buffer) > max_frame_bytes) return std::nullopt;
        need += frame_size(buffer);
        if (need > max_message_bytes) buffer.reserve(need + max_message_bytes);
    }
    if (have > need) return std::nullopt;
    return std::string_view{buffer}.substr(frame_header_bytes, need - frame_header_bytes);
}

bool send_frame(int to, std::string_view frame)
{
    while (!frame.empty()) {
        const ssize_t count = ::write(to, frame.data(), std::min<std::size_t>(frame.size(), max_message_bytes));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        frame.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

}  // namespace sandboxd::script
