#include "base/metrics.hpp"

#include <charconv>
#include <cmath>
#include <cstddef>

namespace sandboxd::metrics {

namespace {

std::string number(double value)
{
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    std::array<char, 32> text{};
    const bool whole = std::abs(value) < 1e15 && value == std::floor(value);
    // `general`: the shortest would write the bucket 0.0005 as 5e-04.
    const auto end = whole
                         ? std::to_chars(text.data(), text.data() + text.size(), static_cast<std::int64_t>(value)).ptr
                         : std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::general).ptr;
    return {text.data(), end};
}

void line(std::string& out, std::string_view name, std::string_view suffix, std::string_view labels,
          std::string_view more, std::string_view value)
{
    out += name;
    out += suffix;
    if (!labels.empty() || !more.empty()) {
        out += '{';
        out += labels;
        if (!labels.empty() && !more.empty()) out += ',';
        out += more;
        out += '}';
    }
    out += ' ';
    out += value;
    out += '\n';
}

void expose_histogram(std::string& out, std::string_view name, std::string_view labels, const histogram& h)
{
    for (std::size_t i = 0; i < histogram::bounds.size(); ++i) {
        line(out, name, "_bucket", labels, "le=\"" + number(histogram::bounds[i]) + "\"",
             std::to_string(h.cumulative(i)));
    }
    line(out, name, "_bucket", labels, "le=\"+Inf\"", std::to_string(h.count()));
    line(out, name, "_sum", labels, {}, number(h.sum()));
    line(out, name, "_count", labels, {}, std::to_string(h.count()));
}

}  // namespace

void histogram::observe(double seconds) noexcept
{
    ++count_;
    sum_ += seconds;
    for (std::size_t i = 0; i < bounds.size(); ++i) {
        if (seconds <= bounds[i]) {
            ++buckets_[i];
            return;
        }
    }
}

std::uint64_t histogram::cumulative(std::size_t i) const noexcept
{
    std::uint64_t total = 0;
    for (std::size_t bucket = 0; bucket <= i; ++bucket) total += buckets_[bucket];
    return total;
}

registry::family& registry::family_of(std::string_view name, std::string_view help)
{
    auto place = families_.find(name);
    if (place == families_.end()) {
        place = families_.emplace(std::string{name}, family{}).first;
        place->second.help = help;
    }
    return place->second;
}

counter& registry::add_counter(std::string_view name, std::string_view help, std::string labels)
{
    return family_of(name, help).counters[std::move(labels)];
}

histogram& registry::add_histogram(std::string_view name, std::string_view help, std::string labels)
{
    return family_of(name, help).histograms[std::move(labels)];
}

void registry::add_gauge(std::string_view name, std::string_view help, std::function<double()> read, std::string labels)
{
    family_of(name, help).gauges[std::move(labels)] = std::move(read);
}

std::string registry::expose() const
{
    std::string out;
    for (const auto& [name, members] : families_) {
        const bool total = name.ends_with("_total");
        const std::string_view type = !members.histograms.empty() ? "histogram" : total ? "counter" : "gauge";
        out += "# HELP " + name + " " + members.help + "\n# TYPE " + name + " ";
        out += type;
        out += '\n';
        for (const auto& [labels, counted] : members.counters)
            line(out, name, {}, labels, {}, std::to_string(counted.value()));
        for (const auto& [labels, read] : members.gauges) line(out, name, {}, labels, {}, number(read()));
        for (const auto& [labels, observed] : members.histograms) expose_histogram(out, name, labels, observed);
    }
    return out;
}

}  // namespace sandboxd::metrics
