// What a Redis server says, as one that was taken over would say it. What is let through is within its bounds, and is
// the same however its bytes arrive.
#include "cluster/reply_reader.hpp"
#include "require.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

using namespace sandboxd::cluster;

namespace {

constexpr std::size_t most_bytes = 1000;

struct seen {
    std::vector<reply> answers{};
    bool refused{false};
};

seen in_pieces(std::string_view bytes, std::size_t step)
{
    seen made;
    reply_reader reader{most_bytes};
    for (std::size_t at = 0; at < bytes.size(); at += step) {
        reader.feed(bytes.substr(at, step));
        for (;;) {
            auto next = reader.next();
            if (!next) {
                require(!next.error().message.empty());
                made.refused = true;
                // Once is for ever.
                require(!reader.next());
                return made;
            }
            if (!*next) break;
            made.answers.push_back(std::move(**next));
        }
    }
    return made;
}

std::size_t size_of(const reply& one, unsigned depth)
{
    require(depth <= deepest_reply);
    require(one.is == reply::kind::list || one.list.empty());
    auto size = one.text.size();
    for (const auto& each : one.list) size += sizeof(reply) + size_of(each, depth + 1);
    return size;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view bytes{reinterpret_cast<const char*>(data), size};
    const auto whole = in_pieces(bytes, std::max<std::size_t>(size, 1));
    for (const auto& one : whole.answers) require(size_of(one, 0) <= most_bytes);
    for (const std::size_t step : {std::size_t{1}, std::size_t{3}}) {
        const auto other = in_pieces(bytes, step);
        require(other.answers == whole.answers && other.refused == whole.refused);
    }
    return 0;
}
