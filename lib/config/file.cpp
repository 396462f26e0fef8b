#include "base/ascii.hpp"
#include "config/config.hpp"
#include "config/sandbox_names.hpp"

#include <cerrno>
#include <fstream>
#include <sstream>
#include <utility>

namespace sandboxd::config {

findings read_file(const std::filesystem::path& file, settings& into)
{
    errno = 0;
    std::ifstream in{file, std::ios::binary};
    std::ostringstream read;
    // Not by iterators: they throw where it is a directory.
    if (!in || (in.peek() != std::ifstream::traits_type::eof() && !(read << in.rdbuf())) || in.bad())
        return {.problems = {system_error(errc::invalid_request, file.native() + ": cannot be read").message},
                .readable = false,
                .format = {}};
    const auto extension = in_lower_case(file.extension().native());
    const auto text = std::move(read).str();
    auto found = extension == ".toml" ? parse_toml_into(into, text) : read_into(into, text);
    for (auto& one : found.problems) one.insert(0, file.native() + ": ");
    return found;
}

}  // namespace sandboxd::config
