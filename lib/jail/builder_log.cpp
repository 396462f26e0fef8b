#include "jail/builder_log.hpp"

#include "base/memory_file.hpp"

#include <unistd.h>

#include <algorithm>

namespace sandboxd::jail {

namespace {

constexpr int least_number = 10;
constexpr std::size_t most_read = 16 * 1024;

}  // namespace

result<builder_log> builder_log::make(const std::vector<std::pair<int, int>>& others)
{
    auto file = empty_memory_file("log");
    if (!file) return file.error();
    int number = least_number;
    for (const auto& [ours, theirs] : others) number = std::max(number, theirs + 1);
    return builder_log{std::move(*file), number};
}

std::string builder_log::text() const
{
    std::string text(most_read, '\0');
    const auto got = ::pread(file_->get(), text.data(), text.size(), 0);
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    return text;
}

}  // namespace sandboxd::jail
