// One constexpr table of routes: method, pattern, handler. `{}` in a pattern captures one non-empty path
// segment, `{*}` at its end whatever is left, slashes included, even nothing. Paths are compared raw: nothing is
// decoded or normalised, so no spelling of a path reaches a handler by another name.
#pragma once

#include "http/exchange.hpp"

#include <optional>
#include <span>
#include <string>

namespace sandboxd::http {

// A row for every method, OPTIONS included; it answers only paths that no row above it has.
inline constexpr verb any_method = verb::unknown;

template <class Services>
struct route {
    verb method;
    std::string_view pattern;
    boost::asio::awaitable<response> (*handle)(Services&, exchange&);
};

// Whether `path` has the pattern's shape; fills the exchange's params.
bool match_pattern(std::string_view pattern, std::string_view path, exchange& x);

// What one walk of the table finds for a request.
template <class Services>
struct found_route {
    // The first row whose pattern is the path's, whatever its method; none: there is no such path.
    std::optional<std::size_t> of_path;
    // The row that answers, or null.
    const route<Services>* answers{nullptr};
    // Without a row that answers, the methods that the path takes.
    std::string allow;
};

// HEAD is answered by the row for GET. The exchange's route is the row that answers, else the first of its path.
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
