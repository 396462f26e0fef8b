#include "js/image_cache.hpp"

#include <utility>

namespace sandboxd::js {

void image_cache::erase(std::list<entry>::iterator place)
{
    bytes_ -= place->bytes();
    by_id_.erase(place->id);
    entries_.erase(place);
}

std::optional<std::string> image_cache::take(std::string_view id, std::string_view init_script)
{
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return std::nullopt;
    const auto place = found->second;
    std::optional<std::string> image;
    const bool fits = place->init_script == init_script;
    bytes_ -= place->bytes();
    by_id_.erase(found);
    if (fits) image = std::move(place->image);
    entries_.erase(place);
    return image;
}

void image_cache::put(std::string_view id, std::string_view init_script, std::string image)
{
    if (const auto older = by_id_.find(id); older != by_id_.end()) erase(older->second);
    entry made{std::string{id}, std::string{init_script}, std::move(image)};
    const std::size_t needed = made.bytes();
    if (needed > max_bytes_) return;
    while (bytes_ + needed > max_bytes_) erase(std::prev(entries_.end()));
    entries_.push_front(std::move(made));
    by_id_.emplace(entries_.front().id, entries_.begin());
    bytes_ += needed;
}

}  // namespace sandboxd::js
