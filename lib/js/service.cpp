#include "js/service.hpp"

#include "script/frame.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace asio = boost::asio;

namespace sandboxd::js {

service::service(asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall, service_settings settings,
                 metrics::registry& counted)
    : settings_{std::move(settings)},
      pool_{std::move(executor), tasks, wall, settings_.pool, counted},
      cache_{settings_.cache_bytes},
      seconds_{counted.add_histogram("sandboxd_js_run_seconds", "JavaScript runs, as measured in the worker.")},
      hits_{counted.add_counter("sandboxd_js_sandbox_requests_total", "Requests with a sandbox id.", "cache=\"hit\"")},
      misses_{
          counted.add_counter("sandboxd_js_sandbox_requests_total", "Requests with a sandbox id.", "cache=\"miss\"")}
{
    for (std::uint8_t i = 0; i < script::run_status_count; ++i) {
        const std::string label = "status=\"" + std::string{name(static_cast<script::run_status>(i))} + "\"";
        runs_[i] = &counted.add_counter("sandboxd_js_runs_total", "JavaScript runs by how they ended.", label);
    }
    counted.add_gauge("sandboxd_js_cache_bytes", "Bytes of cached sandboxes.",
                      [this] { return static_cast<double>(cache_.bytes()); });
    counted.add_gauge("sandboxd_js_cache_entries", "Cached sandboxes.",
                      [this] { return static_cast<double>(cache_.size()); });
}

script::run_limits service::bounded(script::run_limits wanted) const
{
    const script::run_limits& most = settings_.most;
    wanted.init_fuel = std::clamp<std::int64_t>(wanted.init_fuel, 1, most.init_fuel);
    wanted.fuel = std::clamp<std::int64_t>(wanted.fuel, 1, most.fuel);
    wanted.memory_bytes = std::min(wanted.memory_bytes, most.memory_bytes);
    wanted.wall = std::clamp(wanted.wall, std::chrono::microseconds{1'000}, most.wall);
    wanted.console_bytes = std::min(wanted.console_bytes, most.console_bytes);
    wanted.result_bytes = std::min(wanted.result_bytes, most.result_bytes);
    return wanted;
}

// One client's sandbox must not displace all others, and must fit into a frame with everything else.
std::uint32_t service::image_bytes(const script::run_request& run) const
{
    const auto others = std::min<std::uint64_t>(script::max_answer_bytes(run), script::max_frame_bytes);
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(settings_.cache_bytes / 2, script::max_frame_bytes - others));
}

asio::awaitable<result<script::run_answer>> service::run(service_request request, async::stop_source& stop)
{
    script::run_request& run = request.run;
    run.limits = bounded(run.limits);
    const bool reuses = request.sandbox_id && settings_.cache_bytes > 0;
    run.image_bytes = 0;
    if (reuses) run.image_bytes = image_bytes(run);
    run.image.clear();
    const std::string init_script = reuses ? run.init_script.value_or(std::string{}) : std::string{};
    if (reuses) {
        auto image = cache_.take(*request.sandbox_id, init_script);
        (image ? hits_ : misses_).add();
        if (image) run.image = std::move(*image);
    }
    auto answer = co_await pool_.run(std::move(run), request.client, stop);
    if (!answer) co_return answer;
    runs_[static_cast<std::size_t>(answer->status)]->add();
    seconds_.observe(std::chrono::duration<double>(answer->wall).count());
    if (reuses && !answer->image.empty())
        cache_.put(*request.sandbox_id, init_script, std::exchange(answer->image, {}));
    co_return answer;
}

}  // namespace sandboxd::js
