// Fuzzes the parser of compiler output: no crash, and only clean, bounded text comes out.
#include "base/utf8.hpp"
#include "compile/demangle.hpp"
#include "compile/diagnostics.hpp"
#include "require.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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
    static const std::vector<source_file> files{{"a.c", "int x;\n/* \xc3\xa4\xf0\x9f\x98\x80 */ y\n"},
                                                {"b/it's.cpp", ""}};
    static const std::vector<std::string> units{"a.c", "b/it's.cpp"};
    const job_text about{files, units};
    const auto list = parse_diagnostics(output, about, limits);
    require(list.items.size() <= limits.max_items);
    for (const auto& item : list.items) {
        require(is_clean(item.file, limits.max_file_bytes));
        require(is_clean(item.message, limits.max_message_bytes) && !item.message.empty());
        require(item.line != 0 || item.column == 0);    // a column is one of a line,
        require(!item.file.empty() || item.line == 0);  // and a line is one of a file
        require((item.column_utf16 == 0) == (item.column == 0));
        require(item.notes.size() <= limits.max_items + 16);
        for (const auto& note : item.notes) {
            require(is_clean(note.at.file, limits.max_file_bytes));
            require(is_clean(note.message, limits.max_message_bytes));
        }
        if (item.origin)
            require(std::ranges::any_of(files, [&](const auto& file) { return file.path == item.origin->file; }));
    }
    const auto valid = to_valid_utf8(output);
    require(is_valid_utf8(valid));
    const auto text = for_people(valid, about, limits);
    require(is_valid_utf8(text));
    require(text.size() <= valid.size() + 1 + limits.max_names * demangle_limits{}.max_bytes + 16 * valid.size());
    if (const auto plain = demangle(output)) require(plain->size() <= demangle_limits{}.max_bytes);
    require(is_valid_utf8(output) == (to_valid_utf8(output) == output));
    return 0;
}
