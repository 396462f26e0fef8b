// What the indexes in Redis have in common: how their answers are read, and what is said when there are none.
#pragma once

#include "base/errc.hpp"
#include "cluster/reply_reader.hpp"

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace sandboxd::cluster {

// What a client is told of a call that did not work; where Redis is, and what it said, is in the log.
inline error index_error(const error& why)
{
    if (why.code == errc::draining) return why;
    return {errc::index_unavailable,
            "the index that servers share (cluster.redis) does not answer; try again in a moment, and if that does not "
            "help, ask the operator: /readyz says what is degraded"};
}

inline error cache_error(const error& why)
{
    if (why.code == errc::draining) return why;
    if (why.code == errc::queue_full || why.code == errc::payload_too_large) return why;
    if (why.code == errc::not_found)
        return {errc::index_unavailable,
                "the cache that servers share (store.remote) no longer has the files of this sandbox; delete it, and "
                "create it again"};
    return {errc::index_unavailable,
            "the cache that servers share (store.remote) does not answer; try again in a moment, and if that does not "
            "help, ask the operator: /readyz says what is degraded"};
}

inline error odd_index() { return {errc::upstream_failed, "Redis answers something else than was asked for"}; }

// A number as a text, as fields of a hash are.
inline std::optional<std::int64_t> number_of(std::string_view text)
{
    std::int64_t value = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// Of a script that answers 1 or 0.
inline result<bool> one_or_zero(const result<reply>& said)
{
    if (!said) return said.error();
    if (said->is != reply::kind::number) return odd_index();
    return said->number == 1;
}

// Of a script that answers how many a set has (`there`), and at most `most` of them. Null: it is something else. A
// script ends a page by its bytes, too: what strangers have named must not exceed the largest message, behind which the
// connection ends for all calls.
inline const std::vector<reply>* page_of(const reply& said, std::size_t most, std::size_t& there)
{
    if (said.is != reply::kind::list || said.list.size() != 2 || said.list[0].is != reply::kind::number) return nullptr;
    if (said.list[0].number < 0 || said.list[1].is != reply::kind::list || said.list[1].list.size() > most)
        return nullptr;
    there = static_cast<std::size_t>(said.list[0].number);
    return &said.list[1].list;
}

// What that means to a client. `no`: what 0 means.
inline result<void> done_or(const result<bool>& said, error no)
{
    if (!said) return index_error(said.error());
    if (!*said) return no;
    return {};
}

}  // namespace sandboxd::cluster
