#include "artifacts/cache.hpp"

namespace sandboxd::artifacts {

namespace {

std::uint64_t cost_of(const cached_entry& item)
{
    std::uint64_t bytes = sizeof(cached_entry) + sizeof(entry) + item.shown->record.capacity() + 256;
    for (const auto& file : item.known.files) {
        // The file in the entry and in the manifest, its digests, and the slots of loaded content.
        bytes += sizeof(artifact) + sizeof(stored_file) + 2 * file.name.size() + 4 * 64 + 48;
    }
    return bytes;
}

std::uint64_t cost_of(const content& loaded)
{
    return sizeof(content) + 128 + (loaded.memory ? loaded.memory->size() : 0);
}

}  // namespace

std::shared_ptr<cached_entry> cache::find(std::string_view id) noexcept
{
    const auto place = by_id_.find(id);
    if (place == by_id_.end()) return nullptr;
    used_.splice(used_.begin(), used_, place->second);
    return *place->second;
}

const cached_entry* cache::look(std::string_view id) const noexcept
{
    const auto place = by_id_.find(id);
    return place == by_id_.end() ? nullptr : place->second->get();
}

void cache::insert(const std::shared_ptr<cached_entry>& item)
{
    erase(item->shown->id);
    const auto cost = cost_of(*item);
    if (cost > budget_) return;
    item->cost = cost;
    used_.push_front(item);
    by_id_.emplace(item->shown->id, used_.begin());
    bytes_ += cost;
    trim(item.get());
}

void cache::keep(cached_entry& item, std::size_t index, std::shared_ptr<const content> loaded)
{
    if (item.cost == 0) return;
    const auto cost = cost_of(*loaded);
    // A single entry must not exceed the cache.
    if (item.cost + cost > budget_) drop_contents(item);
    if (item.cost + cost > budget_) return;
    auto& place = item.loaded[index][static_cast<std::size_t>(loaded->coding)];
    if (place) {
        item.cost -= cost_of(*place);
        bytes_ -= cost_of(*place);
    }
    place = std::move(loaded);
    item.cost += cost;
    bytes_ += cost;
    trim(&item);
}

void cache::erase(std::string_view id)
{
    const auto place = by_id_.find(id);
    if (place == by_id_.end()) return;
    const auto position = place->second;
    bytes_ -= (*position)->cost;
    (*position)->cost = 0;
    by_id_.erase(place);  // before the entry, which holds the key
    used_.erase(position);
}

void cache::trim(const cached_entry* spared)
{
    while (bytes_ > budget_ && !used_.empty() && used_.back().get() != spared) {
        if (dropped_) dropped_(*used_.back());
        erase(std::string_view{used_.back()->shown->id});
    }
}

void cache::drop_contents(cached_entry& item)
{
    for (auto& file : item.loaded) {
        for (auto& place : file) {
            if (!place) continue;
            item.cost -= cost_of(*place);
            bytes_ -= cost_of(*place);
            place.reset();
        }
    }
}

}  // namespace sandboxd::artifacts
