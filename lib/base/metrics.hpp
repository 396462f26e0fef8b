// Counters, gauges and histograms, and their text for Prometheus (exposition format 0.0.4,
// https://prometheus.io/docs/instrumenting/exposition_formats/).
//
// A counting place keeps a reference from `registry` and increments it: a plain integer, no lookup, no lock.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace sandboxd::metrics {

class counter {
public:
    void add(std::uint64_t n = 1) noexcept { value_ += n; }
    std::uint64_t value() const noexcept { return value_; }

private:
    std::uint64_t value_{0};
};

// Durations in seconds, from 0.5 ms to 60 s.
class histogram {
public:
    static constexpr std::array<double, 16> bounds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                   0.25,   0.5,   1,      2.5,   5,    10,    30,   60};
    void observe(double seconds) noexcept;

    std::uint64_t count() const noexcept { return count_; }
    double sum() const noexcept { return sum_; }
    // Observations at or below bounds[i].
    std::uint64_t cumulative(std::size_t i) const noexcept;

private:
    std::array<std::uint64_t, bounds.size()> buckets_{};
    std::uint64_t count_{0};
    double sum_{0};
};

// Labels are in exposition form: `route="/compile",status="200"`, or empty. The first registration of a name sets its
// help. References stay valid as long as the registry.
class registry {
public:
    counter& add_counter(std::string_view name, std::string_view help, std::string labels = {});
    histogram& add_histogram(std::string_view name, std::string_view help, std::string labels = {});
    // `read` is called at every exposition. A name ending in `_total` is exposed as a counter.
    void add_gauge(std::string_view name, std::string_view help, std::function<double()> read, std::string labels = {});

    std::string expose() const;

private:
    struct family {
        std::string help;
        std::map<std::string, counter> counters;
        std::map<std::string, histogram> histograms;
        std::map<std::string, std::function<double()>> gauges;
    };
    family& family_of(std::string_view name, std::string_view help);

    std::map<std::string, family, std::less<>> families_;
};

}  // namespace sandboxd::metrics
