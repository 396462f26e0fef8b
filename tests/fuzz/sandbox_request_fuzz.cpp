// Fuzzes the readers of what is posted to /sandbox and /sandbox/{id}/execute, and what settles and checks behind them:
// what passes is UTF-8, within the limits, and can be written beneath a directory.
#include "api/sandbox_request.hpp"
#include "base/utf8.hpp"
#include "programs/program_files.hpp"
#include "require.hpp"
#include "sandboxes/execution_limits.hpp"

#include <cstdint>
#include <string>
#include <string_view>

using namespace sandboxd;

namespace {

void require_refusal(const error& why)
{
    require(why.code == errc::invalid_request || why.code == errc::payload_too_large);
    require(!why.message.empty() && is_valid_utf8(why.message));
}

void require_settled(const sandboxes::asked_limits& asked)
{
    const sandboxes::execution_limits usual;
    const sandboxes::execution_limits most{.wall_ms = 60'000,
                                           .memory_mb = 1024,
                                           .cpu_secs = 600,
                                           .processes = 256,
                                           .output_bytes = 8 << 20,
                                           .disk_mb = 256};
    const auto settled = sandboxes::settle(asked, usual, most);
    if (!settled) return require_refusal(settled.error());
    for (const auto& row : sandboxes::limit_table)
        require((*settled).*row.value >= 1 && (*settled).*row.value <= most.*row.value);
}

void require_files(const std::vector<programs::program_file>& files)
{
    constexpr programs::file_limits limits{.max_files = 8, .max_bytes = 4096};
    const auto checked = programs::check_files(files, limits);
    if (!checked) return require_refusal(checked.error());
    require(files.size() <= limits.max_files);
    for (const auto& one : files) {
        require(is_valid_utf8(one.path) && one.path.size() <= 512 && !one.path.starts_with('/'));
        require(("/" + one.path + "/").find("/../") == std::string::npos);
        require(one.path.find('\0') == std::string::npos);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view body{reinterpret_cast<const char*>(data), size};
    if (const auto read = api::read_sandbox_request(body); read) {
        require(!read->runtime.empty() && is_valid_utf8(read->runtime) && is_valid_utf8(read->code));
        require(is_valid_utf8(read->entry_point));
        require(!read->code.empty() || !read->files.empty());
        for (const auto& [name, value] : read->env)
            require(!name.empty() && name.find('=') == std::string::npos && value.find('\0') == std::string::npos);
        require_settled(read->asked);
        require_files(read->files);
    } else {
        require_refusal(read.error());
    }
    if (const auto read = api::read_execution_request(body); read) {
        require(read->stdin_text.size() <= size && is_valid_utf8(read->stdin_text));
        require_settled(read->asked);
    } else {
        require_refusal(read.error());
    }
    return 0;
}
