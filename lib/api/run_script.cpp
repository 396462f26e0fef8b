#include "api/run_script.hpp"

#include "api/own_limits.hpp"
#include "api/ownership.hpp"
#include "api/span_facts.hpp"

namespace sandboxd::api {

boost::asio::awaitable<result<script::run_answer>> run_script(services& with, http::exchange& x,
                                                              js::service_request request)
{
    // Most scripts have ended before anybody could leave.
    x.watch_disconnect_if_slow();
    request.client = x.client();
    request.owner = owner_of(x);
    request.charge = charge_fuel(x);
    telemetry::job_spans spans{x, "run"};
    if (spans.are_recorded()) request.started = [&spans] { spans.start(); };
    auto done = co_await with.js->run(std::move(request), x.stop());
    describe_run(spans, done);
    if (done) x.note_timing("run", done->wall);
    co_return done;
}

}  // namespace sandboxd::api
