// One constexpr table of routes: method, pattern, handler. `{}` in a pattern captures one non-empty path
// segment, `{*}` at its end whatever is left, slashes included, even nothing. Paths are compared raw: nothing is
// decoded or normalised, so no spelling of a path reaches a handler by another name.
#pragma once

#include "http/exchange.hpp"

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

// The row that answers, or null; then `allow` lists the methods the path does take (empty: no such path).
// HEAD is answered by the row for GET.
template <class Services>
const route<Services>* find_route(std::span<const route<Services>> table, exchange& x, std::string& allow)
{
    const auto wanted = x.method() == verb::head ? verb::get : x.method();
    for (std::size_t row = 0; row < table.size(); ++row) {
        const auto& candidate = table[row];
        if (!match_pattern(candidate.pattern, x.path(), x)) continue;
        if (candidate.method == any_method && !allow.empty()) continue;
        if (candidate.method == wanted || candidate.method == any_method) {
            x.set_route(candidate.pattern, row);
            return &candidate;
        }
        if (!allow.empty()) allow += ", ";
        if (candidate.method == verb::get) allow += "HEAD, ";
        const auto text = boost::beast::http::to_string(candidate.method);
        allow.append(text.data(), text.size());
    }
    return nullptr;
}

}  // namespace sandboxd::http
