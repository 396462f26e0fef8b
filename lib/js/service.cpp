#include "js/service.hpp"

#include "script/frame.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace asio = boost::asio;

namespace sandboxd::js {

namespace {

// As a worker charges for it.
std::uint32_t console_size(const std::vector<script::console_entry>& console)
{
    std::uint64_t sum = 0;
    for (const auto& one : console) sum += one.data.size() + one.text.size() + script::console_record_bytes;
    return static_cast<std::uint32_t>(sum);
}

// `before`: what it had burnt in earlier requests.
void tell_fuel(const std::function<void(std::int64_t)>& charge, const result<script::run_answer>& answer,
               const script::run_limits& limits, std::int64_t before)
{
    if (!charge) return;
    // A worker that was killed says nothing.
    const bool is_known = answer && answer->fuel_used > before;
    charge(is_known ? answer->fuel_used - before : std::max<std::int64_t>(limits.init_fuel + limits.fuel - before, 0));
}

// Both must stay until the run has ended.
std::function<void()> beginning(bool& has_begun, const std::function<void()>& started)
{
    return [&has_begun, &started] {
        has_begun = true;
        if (started) started();
    };
}

}  // namespace

service::service(asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall, service_settings settings,
                 metrics::registry& counted)
    : settings_{std::move(settings)},
      pool_{std::move(executor), tasks, wall, settings_.pool, counted},
      cache_{settings_.cache_bytes},
      continuations_{settings_.continuations, counted},
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
std::uint32_t service::image_bytes(const script::run_request& run, std::size_t cache_bytes) const
{
    const auto others = std::min<std::uint64_t>(script::max_answer_bytes(run), script::max_frame_bytes);
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(cache_bytes / 2, script::max_frame_bytes - others));
}

void service::count(const script::run_answer& answer)
{
    runs_[static_cast<std::size_t>(answer.status)]->add();
    seconds_.observe(std::chrono::duration<double>(answer.wall).count());
}

asio::awaitable<result<script::run_answer>> service::run(service_request request, async::stop_source& stop)
{
    script::run_request& run = request.run;
    run.limits = bounded(run.limits);
    const bool has_tools = !run.tools.empty();
    const bool reuses = request.sandbox_id && settings_.cache_bytes > 0 && !has_tools;
    const auto kept_as = reuses ? continuations::named(request.owner, *request.sandbox_id) : std::string{};
    run.image_bytes = 0;
    run.image.clear();
    run.resumed.reset();
    run.max_calls = settings_.max_pending_calls;
    if (reuses) run.image_bytes = image_bytes(run, settings_.cache_bytes);
    if (has_tools) run.image_bytes = image_bytes(run, settings_.continuations.max_bytes);
    const std::string init_script = reuses ? run.init_script.value_or(std::string{}) : std::string{};
    if (reuses) {
        auto image = cache_.take(kept_as, init_script);
        (image ? hits_ : misses_).add();
        if (image) run.image = std::move(*image);
    }
    bool has_begun = false;
    auto answer = co_await pool_.run(run, request.client, stop, beginning(has_begun, request.started));
    if (has_begun) tell_fuel(request.charge, answer, run.limits, 0);
    if (!answer) co_return answer;
    count(*answer);
    if (reuses && !answer->image.empty())
        cache_.put(request.client, kept_as, init_script, std::exchange(answer->image, {}));
    if (!has_tools) co_return answer;
    kept_run told;
    told.client = request.client;
    told.owner = request.owner;
    told.run = std::move(run);
    co_return finish(std::move(told), std::move(*answer));
}

asio::awaitable<result<script::run_answer>> service::resume(continue_request request, continue_fault& why,
                                                            async::stop_source& stop)
{
    why = continue_fault::none;
    const auto name = continuations::named(request.owner, request.continuation);
    const auto found = continuations_.find(name);
    if (found.is != continuations::state::kept) {
        why = found.is == continuations::state::used ? continue_fault::used : continue_fault::unknown;
        co_return make_error(errc::not_found);
    }
    std::ranges::sort(request.calls);
    if (request.calls != found.run->calls) {
        std::string wanted;
        for (const auto id : found.run->calls) wanted += (wanted.empty() ? "" : ", ") + std::to_string(id);
        co_return invalid_request("results must have each of the calls that are pending once, and no other: " + wanted);
    }
    const auto lease = continuations_.use(name, request.keep);
    if (!lease) co_return make_error(errc::queue_full);

    kept_run told = *found.run;
    told.client = request.client;
    script::run_request& run = told.run;
    const auto console_bytes = run.limits.console_bytes;
    run.limits.console_bytes = found.run->console_truncated ? 0 : console_bytes - console_size(told.console);
    run.resumed->results = std::move(request.results);
    bool has_begun = false;
    auto answer = co_await pool_.run(run, request.client, stop, beginning(has_begun, request.started));
    if (has_begun) tell_fuel(request.charge, answer, run.limits, run.resumed->fuel_used);
    if (!answer) {
        if (!request.keep) continuations_.give_back(name, found.run);
        co_return answer.error();
    }
    count(*answer);
    run.limits.console_bytes = console_bytes;
    co_return finish(std::move(told), std::move(*answer));
}

// `told` is what the worker was; it is kept if the run waits.
result<script::run_answer> service::finish(kept_run told, script::run_answer run)
{
    if (!told.console.empty() || told.console_truncated) {
        told.console.insert(told.console.end(), std::make_move_iterator(run.console.begin()),
                            std::make_move_iterator(run.console.end()));
        run.console = std::move(told.console);
        run.console_truncated = run.console_truncated || told.console_truncated;
    }
    std::string image = std::exchange(run.image, {});
    if (run.status != script::run_status::pending) return run;
    // What a worker says of the time it took is not less than what it said before.
    const auto before = told.run.resumed ? told.run.resumed->wall : std::chrono::microseconds{0};
    if (image.empty())
        return unavailable(
            "the script waits for its tools with more memory than can be kept (js.continuationBytes); "
            "let it hold less");
    told.run.resumed = script::run_resumption{
        .image = std::move(image), .results = {}, .fuel_used = run.fuel_used, .wall = std::max(before, run.wall)};
    told.calls.clear();
    for (const auto& call : run.calls) told.calls.push_back(call.id);
    told.console = run.console;
    told.console_truncated = run.console_truncated;
    auto id = continuations_.put(std::move(told));
    if (!id)
        return unavailable(
            "too many scripts wait for their tools (js.continuationBytes, js.maxContinuations); "
            "try again later");
    run.continuation = std::move(*id);
    return run;
}

}  // namespace sandboxd::js
