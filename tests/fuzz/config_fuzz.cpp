// Fuzzes the reader of the configuration: it reads or says in one clean line what is wrong, and
// what it has read keeps the bounds that the rest of the program relies on.
#include "config/config.hpp"
#include "require.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>

using namespace sandboxd;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    const auto parsed = config::parse(text);
    if (!parsed) {
        require(parsed.error().code == errc::invalid_request);
        require(!parsed.error().message.empty());
        return 0;
    }
    require(parsed->cleanup_interval_mins >= 1 && parsed->artifact_ttl_days >= 0);
    require(parsed->job_memory_estimate_mb >= 1 && parsed->job_memory_estimate_mb <= 1 << 20);
    require(parsed->jail_uid >= 1 && parsed->compile_timeout_secs >= 1 && parsed->queue_timeout_secs >= 1);
    require(parsed->http.max_connections >= 1 && parsed->http.max_header_bytes >= 1024);
    require(parsed->http.max_body_bytes >= 1 && parsed->http.header_timeout_secs >= 1);
    require(parsed->compile.max_source_bytes >= 1 && parsed->compile.max_files >= 1);
    require(config::parse_level(parsed->log.level) && config::parse_format(parsed->log.format));
    require(parsed->jobs_path().is_absolute() && parsed->artifacts_path().is_absolute());
    require(parsed->jobs_path() != parsed->artifacts_path());
    require(!parsed->nsjail_enabled || parsed->wanted_jail() == "nsjail");
    require(parsed->toolchain.emcc.empty() || parsed->toolchain.emcc.front() == '/');
    require(std::ranges::all_of(parsed->toolchain.mounts,
                                [](const auto& path) { return path.size() > 1 && path.front() == '/'; }));
    return 0;
}
