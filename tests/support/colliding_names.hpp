// Member names that meet in one place of Boost.JSON's hash table: what somebody would send who wants one object to be
// as expensive as thousands. Its objects hash names by FNV-1a from a start that is the address of their table, and
// tables of some size begin sixteen bytes behind a page's beginning, large ones behind that of 2 MiB.
// https://www.boost.org/doc/libs/1_83_0/boost/json/detail/digest.hpp
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::test {

// For each position two pieces of text that lead from one state to the same next one; each choice of one for every
// position makes a name (A. Joux, Multicollisions in iterated hash functions, 2004).
inline std::vector<std::array<std::string, 2>> colliding_pieces(std::size_t positions)
{
    constexpr std::uint64_t prime = 0x100000001b3;
    constexpr std::uint64_t mask = (1u << 20) - 1;  // which place of a table it is depends on no higher bits
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    std::uint64_t state = 0xcbf29ce484222325 + 0x10;
    std::vector<std::array<std::string, 2>> made;
    while (made.size() < positions) {
        std::map<std::uint64_t, std::string> seen;
        for (std::size_t i = 0;; ++i) {
            const std::string piece{letters[i % letters.size()], letters[i / letters.size() % letters.size()],
                                    letters[i / letters.size() / letters.size() % letters.size()]};
            auto next = state;
            for (const char one : piece) next = ((next ^ static_cast<unsigned char>(one)) * prime) & mask;
            const auto [at, is_new] = seen.emplace(next, piece);
            if (is_new) continue;
            made.push_back({at->second, piece});
            state = next;
            break;
        }
    }
    return made;
}

// The first `count` names, of three letters for each of as many positions as that takes.
inline std::vector<std::string> colliding_names(std::size_t count)
{
    std::size_t positions = 0;
    while ((std::size_t{1} << positions) < count) ++positions;
    const auto pieces = colliding_pieces(positions);
    std::vector<std::string> names(count);
    for (std::size_t i = 0; i < count; ++i)
        for (std::size_t at = 0; at < positions; ++at) names[i] += pieces[at][(i >> at) & 1];
    return names;
}

}  // namespace sandboxd::test
