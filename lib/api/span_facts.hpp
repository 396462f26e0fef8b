// What the spans of requests say of the work that was done for them: codes, counts and times, and nothing of what a
// client has sent or a program has printed.
#pragma once

#include "base/errc.hpp"
#include "compile/service.hpp"
#include "http/exchange.hpp"
#include "proxy/peer_call.hpp"
#include "sandboxes/service.hpp"
#include "script/run.hpp"
#include "telemetry/job_spans.hpp"

#include <string>
#include <string_view>

namespace sandboxd::api {

void describe_compile(telemetry::job_spans& spans, const http::exchange& x, const result<compile::answer>& done);
void describe_run(telemetry::job_spans& spans, const result<script::run_answer>& done);
void describe_execution(telemetry::job_spans& spans, const result<sandboxes::execution>& done);
// `hop`: a request to the program of deployment `id`, or to the server that runs it. Where they listen nobody outside
// can reach, so they have no address.
void describe_hop(telemetry::span& hop, const http::exchange& x, const std::string& id, const result<void>& done);
// `hop`: a request to another server of the fleet, whose answer is passed on as a whole.
void describe_hop(telemetry::span& hop, std::string_view method, const result<proxy::peer_reply>& said);

}  // namespace sandboxd::api
