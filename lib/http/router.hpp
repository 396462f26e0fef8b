// One constexpr table of routes: method, pattern, handler. `{}` in a pattern captures one non-empty path segment,
// `{*}` at its end the rest of the path, slashes included, even if it is empty. Paths are compared raw, without
// decoding or normalising, so a handler is reached by one spelling only.
#pragma once

#include "http/exchange.hpp"

#include <optional>
#include <span>
#include <string>

namespace sandboxd::http {

// A row for every method, including OPTIONS; it answers only paths that match no row above it.
inline constexpr verb any_method = verb::unknown;

template <class Services>
struct route {
    verb method;
    std::string_view pattern;
    boost::asio::awaitable<response> (*handle)(Services&, exchange&);
};

// Whether `path` has the pattern's shape; fills the exchange's params.
bool match_pattern(std::string_view pattern, std::string_view path, exchange& x);

// The result of looking up a request in the table.
template <class Services>
struct found_route {
    // The first row that matches the path, whatever its method; nullopt: there is no such path.
    std::optional<std::size_t> of_path;
    // The row that answers, or null.
    const route<Services>* answers{nullptr};
    // If no row answers: the methods of the path.
    std::string allow;
};

// The row for GET also answers HEAD. The exchange's route is the row that answers, otherwise the first one of its
// path.
template <class Services>
found_route<Services> find_route(std::span<const route<Services>> table, exchange& x)
{
    found_route<Services> found;
    const auto wanted = x.method() == verb::head ? verb::get : x.method();
    for (std::size_t row = 0; row < table.size(); ++row) {
        const auto& candidate = table[row];
        if (!match_pattern(candidate.pattern, x.path(), x)) continue;
        if (candidate.method == any_method && found.of_path) continue;
        if (!found.of_path) {
            found.of_path = row;
            x.set_route(candidate.pattern, row);
        }
        if (candidate.method == wanted || candidate.method == any_method) {
            x.set_route(candidate.pattern, row);
            found.answers = &candidate;
            break;
        }
        if (!found.allow.empty()) found.allow += ", ";
        if (candidate.method == verb::get) found.allow += "HEAD, ";
        const auto text = boost::beast::http::to_string(candidate.method);
        found.allow.append(text.data(), text.size());
    }
    return found;
}

}  // namespace sandboxd::http
