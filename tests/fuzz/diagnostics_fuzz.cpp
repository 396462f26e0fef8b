// Fuzzes the parser of compiler output: no crash, and only clean, bounded text comes out.
#include "base/utf8.hpp"
#include "compile/diagnostics.hpp"
#include "require.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

using namespace sandboxd;
using namespace sandboxd::compile;

namespace {

bool is_clean(const std::string& text, std::size_t max_bytes)
{
    return text.size() <= max_bytes && is_valid_utf8(text) &&
           std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view output{reinterpret_cast<const char*>(data), size};
    const diagnostic_limits limits{.max_items = 20, .max_message_bytes = 60, .max_file_bytes = 40};
    const auto list = parse_diagnostics(output, limits);
    require(list.items.size() <= limits.max_items);
    for (const auto& item : list.items) {
        require(is_clean(item.file, limits.max_file_bytes));
        require(is_clean(item.message, limits.max_message_bytes) && !item.message.empty());
        require(item.line != 0 || item.column == 0);    // a column is one of a line,
        require(!item.file.empty() || item.line == 0);  // and a line is one of a file
    }
    require(is_valid_utf8(to_valid_utf8(output)));
    require(is_valid_utf8(output) == (to_valid_utf8(output) == output));
    return 0;
}
