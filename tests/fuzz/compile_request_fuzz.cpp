// Fuzzes the reader of compile requests, and the check of the files that comes next: what passes
// has files or code but not both, in bounds, under paths that stay where they are put.
#include "api/compile_request.hpp"
#include "api/media_type.hpp"
#include "base/utf8.hpp"
#include "compile/source_file.hpp"
#include "require.hpp"

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>

using namespace sandboxd;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view body{reinterpret_cast<const char*>(data), size};
    (void)api::is_json(body);
    auto request = api::read_compile_request(body);
    if (!request) {
        require(request.error().code == errc::invalid_request);
        require(!request.error().message.empty());
        return 0;
    }
    require(request->code.empty() != request->files.empty());
    require(is_valid_utf8(request->code));
    for (const auto& token : request->args) require(is_valid_utf8(token));
    for (const auto& file : request->files) require(is_valid_utf8(file.path));  // its content may be any bytes
    if (request->files.empty()) return 0;

    const compile::source_limits limits{.max_files = 4, .max_total_bytes = 100};
    const auto checked = compile::check_sources(std::move(request->files), request->type, limits);
    if (!checked) {
        require(!checked.error().message.empty() && is_valid_utf8(checked.error().message));
        return 0;
    }
    require(checked->files.size() <= limits.max_files && !checked->units.empty());
    std::set<std::string> paths;
    std::size_t total = 0;
    for (const auto& file : checked->files) {
        require(!compile::path_defect(file.path, limits));
        require(paths.insert(file.path).second);
        total += file.content.size();
    }
    require(total <= limits.max_total_bytes);
    for (const auto& unit : checked->units) require(paths.contains(unit) && compile::unit_language(unit));
    return 0;
}
