#include "api/span_facts.hpp"

#include <string_view>

namespace sandboxd::api {

namespace {

void set_usage(telemetry::span& of, const std::optional<process::cgroup_usage>& used)
{
    if (!used) return;
    of.set("sandboxd.job.cpu_us", used->cpu.count());
    of.set("sandboxd.job.memory_peak_bytes", used->memory_peak_bytes);
    of.set("sandboxd.job.oom_kills", used->oom_kills);
}

}  // namespace

void describe_compile(telemetry::job_spans& spans, const http::exchange& x, const result<compile::answer>& done)
{
    if (!spans.are_recorded()) return;
    if (!done) return spans.fail(name(done.error().code));
    if (auto* const its = telemetry::of(x)) its->root().set("sandboxd.compile.cached", done->cached);
    if (done->cached) return spans.drop();
    spans.add_steps(done->timings.steps);
    auto& run = spans.run();
    run.set("sandboxd.compile.toolchain_us", done->timings.compile.count());
    set_usage(run, done->usage);
    if (!done->ok) spans.fail(name(done->code));
}

void describe_run(telemetry::job_spans& spans, const result<script::run_answer>& done)
{
    using script::run_status;
    if (!spans.are_recorded()) return;
    if (!done) return spans.fail(name(done.error().code));
    auto& run = spans.run();
    run.set("sandboxd.script.status", name(done->status));
    run.set("sandboxd.script.fuel", done->fuel_used);
    run.set("sandboxd.script.memory_bytes", done->memory_bytes);
    if (done->status != run_status::ok && done->status != run_status::pending) spans.fail(name(done->status));
}

void describe_execution(telemetry::job_spans& spans, const result<sandboxes::execution>& done)
{
    if (!spans.are_recorded()) return;
    if (!done) return spans.fail(name(done.error().code));
    spans.begin_at(done->begun);
    auto& run = spans.run();
    run.set("sandboxd.execution.verdict", sandboxes::name(done->end.how));
    run.set("process.exit.code", done->end.exit_code);
    set_usage(run, done->usage);
    if (done->end.how != sandboxes::verdict::exit) spans.fail(sandboxes::name(done->end.how));
}

void describe_hop(telemetry::span& hop, const http::exchange& x, const std::string& id, const result<void>& done)
{
    if (!hop.is_recorded()) return;
    hop.set("http.request.method", telemetry::method_of(x));
    hop.set("sandboxd.deployment.id", id);
    const auto status = x.relayed() ? x.begun_status() : 0;
    if (status != 0) hop.set("http.response.status_code", status);
    if (!done)
        hop.fail(name(done.error().code));
    else if (status >= 400)
        hop.fail(std::to_string(status));
}

void describe_hop(telemetry::span& hop, std::string_view method, const result<proxy::peer_reply>& said)
{
    if (!hop.is_recorded()) return;
    hop.set("http.request.method", method);
    if (!said) return hop.fail(name(said.error().code));
    hop.set("http.response.status_code", said->status);
    if (said->status >= 400) hop.fail(std::to_string(said->status));
}

}  // namespace sandboxd::api
