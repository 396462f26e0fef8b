#include "base/proc.hpp"

#include "base/text_file.hpp"

#include <charconv>
#include <cstddef>
#include <system_error>

namespace sandboxd {

std::vector<pid_t> children_of_thread(const std::string& thread)
{
    // A jail's ceiling of processes is far below what fits.
    constexpr std::size_t longest = 64 * 1024;
    const auto text = read_text(thread + "/children", longest);
    std::vector<pid_t> found;
    const char* at = text.data();
    const char* const end = at + text.size();
    // A blank follows each number; one without it was cut.
    while (at < end) {
        pid_t child = 0;
        const auto [next, failed] = std::from_chars(at, end, child);
        if (failed != std::errc{} || next == end) break;
        found.push_back(child);
        at = next + 1;
    }
    return found;
}

std::uint64_t number_behind(std::string_view text, std::string_view key)
{
    auto at = text.find(key);
    if (at == std::string_view::npos) return 0;
    at = text.find_first_not_of(" \t", at + key.size());
    if (at == std::string_view::npos) return 0;
    std::uint64_t value = 0;
    std::from_chars(text.data() + at, text.data() + text.size(), value);
    return value;
}

}  // namespace sandboxd
