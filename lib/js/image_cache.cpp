#include "js/image_cache.hpp"

#include <iterator>
#include <utility>

namespace sandboxd::js {

namespace {

// For one newcomer: who gives way is looked for among all clients.
constexpr std::size_t most_evicted = 64;

}  // namespace

void image_cache::erase(place which)
{
    shares_.remove(which->client, {.count = 1, .bytes = which->bytes()});
    forget(which);
}

void image_cache::forget(place which)
{
    const auto of = by_client_.find(which->client);
    by_id_.erase(which->id);
    of->second.erase(which);
    if (of->second.empty()) by_client_.erase(of);
}

std::optional<std::string> image_cache::take(std::string_view id, std::string_view init_script)
{
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return std::nullopt;
    const auto which = found->second;
    std::optional<std::string> image;
    const bool fits = which->init_script == init_script;
    shares_.remove(which->client, {.count = 1, .bytes = which->bytes()});
    if (fits) image = std::move(which->image);
    forget(which);
    return image;
}

void image_cache::put(const client_key& client, std::string_view id, std::string_view init_script, std::string image)
{
    if (const auto older = by_id_.find(id); older != by_id_.end()) erase(older->second);
    entry made{client, std::string{id}, std::string{init_script}, std::move(image)};
    const admission::client_shares::share more{.count = 1, .bytes = made.bytes()};
    if (more.bytes > max_bytes_) return;
    for (std::size_t evicted = 0; !shares_.has_room(more); ++evicted) {
        const auto other = shares_.gives_way(client, more, admission::client_shares::among_equals::who_was_there);
        const auto loser = by_client_.find(other.value_or(client));
        if (loser == by_client_.end() || evicted == most_evicted) return;
        erase(std::prev(loser->second.end()));
    }
    auto& mine = by_client_[client];
    mine.push_front(std::move(made));
    by_id_.emplace(mine.front().id, mine.begin());
    shares_.add(client, more);
}

}  // namespace sandboxd::js
