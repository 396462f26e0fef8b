// Which server has what, as far as this one has been told: for when nobody can be asked. What is forgotten is asked for
// again.
#pragma once

#include "base/metrics.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace sandboxd {

// `Place`: the server, and what else is known of what is there.
template <class Place>
class basic_known_places {
public:
    // `most`: cluster.maxKnownPlaces, at least one. `of`: what is at these places, for the metric.
    basic_known_places(std::size_t most, metrics::registry& counted, std::string_view of)
        : most_{std::max<std::size_t>(most, 1)},
          forgotten_{counted.add_counter(
              "sandboxd_cluster_places_forgotten_total",
              "Servers of deployments, or of kept scripts, forgotten for others (cluster.maxKnownPlaces).",
              "of=\"" + std::string{of} + "\"")}
    {
    }

    // Null: not known. Good until the next change.
    const Place* find(std::string_view name) const
    {
        const auto found = places_.find(name);
        return found == places_.end() ? nullptr : &found->second;
    }
    // Where there are too many, another one goes: by its name, so for ids that are random by chance.
    void set(std::string name, Place place)
    {
        const auto at = places_.insert_or_assign(std::move(name), std::move(place)).first;
        if (places_.size() <= most_) return;
        places_.erase(at == places_.begin() ? std::next(at) : places_.begin());
        forgotten_.add();
    }
    void erase(std::string_view name)
    {
        if (const auto found = places_.find(name); found != places_.end()) places_.erase(found);
    }
    std::size_t size() const noexcept { return places_.size(); }

private:
    std::size_t most_;
    std::map<std::string, Place, std::less<>> places_;
    metrics::counter& forgotten_;
};

// Of which nothing but the server is known.
using known_places = basic_known_places<std::string>;

}  // namespace sandboxd
