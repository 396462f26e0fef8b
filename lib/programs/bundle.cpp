#include "programs/bundle.hpp"

#include "base/ascii.hpp"

#include <charconv>
#include <optional>

namespace sandboxd::programs {

namespace {

// The digits of a length, a colon and a comma.
constexpr std::size_t longest_frame = 22;

void put(std::string& into, std::string_view text)
{
    into += std::to_string(text.size());
    into += ':';
    into += text;
    into += ',';
}

// The next one; nullopt: these bytes begin with none.
std::optional<std::string_view> take(std::string_view& from)
{
    const auto colon = from.substr(0, longest_frame).find(':');
    // One spelling of each number.
    if (colon == std::string_view::npos || colon == 0 || !is_digit(from.front()) || (from.front() == '0' && colon > 1))
        return std::nullopt;
    std::size_t size = 0;
    const auto [end, ec] = std::from_chars(from.data(), from.data() + colon, size);
    if (ec != std::errc{} || end != from.data() + colon) return std::nullopt;
    const auto rest = from.substr(colon + 1);
    if (size >= rest.size() || rest[size] != ',') return std::nullopt;
    from = rest.substr(size + 1);
    return rest.substr(0, size);
}

error unreadable() { return invalid_request("these are not the bytes of a program and its files"); }

}  // namespace

std::string pack(std::string_view about, const std::vector<program_file>& files)
{
    std::size_t bytes = about.size();
    for (const auto& one : files) bytes += one.path.size() + one.content.size();
    std::string made;
    made.reserve(packed_size(bytes, files.size()));
    put(made, about);
    for (const auto& one : files) {
        put(made, one.path);
        put(made, one.content);
    }
    return made;
}

std::size_t packed_size(std::size_t bytes, std::size_t files) { return bytes + (1 + 2 * files) * longest_frame; }

result<bundle> unpack(std::string_view bytes, std::size_t most_files)
{
    bundle made;
    const auto about = take(bytes);
    if (!about) return unreadable();
    made.about = *about;
    while (!bytes.empty()) {
        if (made.files.size() == most_files) return invalid_request(too_many_files(most_files).message);
        const auto path = take(bytes);
        const auto content = path ? take(bytes) : std::nullopt;
        if (!content) return unreadable();
        made.files.push_back({std::string{*path}, std::string{*content}});
    }
    return made;
}

}  // namespace sandboxd::programs
