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

class known_places {
public:
    // `most`: cluster.maxKnownPlaces, at least one. `of`: what is at these places, for the metric.
    known_places(std::size_t most, metrics::registry& counted, std::string_view of)
        : most_{std::max<std::size_t>(most, 1)},
          forgotten_{counted.add_counter(
              "sandboxd_cluster_places_forgotten_total",
              "Servers of deployments, or of kept scripts, forgotten for others (cluster.maxKnownPlaces).",
              "of=\"" + std::string{of} + "\"")}
    {
    }

    // The server; null: not known. Good until the next change.
    const std::string* find(std::string_view name) const
    {
        const auto found = servers_.find(name);
        return found == servers_.end() ? nullptr : &found->second;
    }
    // Where there are too many, another one goes: by its name, so for ids that are random by chance.
    void set(std::string name, std::string server)
    {
        const auto at = servers_.insert_or_assign(std::move(name), std::move(server)).first;
        if (servers_.size() <= most_) return;
        servers_.erase(at == servers_.begin() ? std::next(at) : servers_.begin());
        forgotten_.add();
    }
    void erase(std::string_view name)
    {
        if (const auto found = servers_.find(name); found != servers_.end()) servers_.erase(found);
    }
    std::size_t size() const noexcept { return servers_.size(); }

private:
    std::size_t most_;
    std::map<std::string, std::string, std::less<>> servers_;
    metrics::counter& forgotten_;
};

}  // namespace sandboxd
