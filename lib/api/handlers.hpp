// The handlers of the table of routes. Each reads a request, calls a service and writes the answer.
#pragma once

#include "api/services.hpp"
#include "http/exchange.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::api {

boost::asio::awaitable<http::response> get_health(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_ready(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_metrics(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_version(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_description(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_playground(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_playground_asset(services& with, http::exchange& x);
boost::asio::awaitable<http::response> post_mcp(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_job(services& with, http::exchange& x);
boost::asio::awaitable<http::response> delete_job(services& with, http::exchange& x);
boost::asio::awaitable<http::response> post_key(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_keys(services& with, http::exchange& x);
boost::asio::awaitable<http::response> delete_key(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_docs(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_docs_asset(services& with, http::exchange& x);
boost::asio::awaitable<http::response> post_compile(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_artifact(services& with, http::exchange& x);
boost::asio::awaitable<http::response> post_execute(services& with, http::exchange& x);
boost::asio::awaitable<http::response> post_continue(services& with, http::exchange& x);
boost::asio::awaitable<http::response> post_script(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_examples(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_example(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_script_health(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_runtimes(services& with, http::exchange& x);
boost::asio::awaitable<http::response> post_sandbox(services& with, http::exchange& x);
// The same for a sandbox that its creator executes once and deletes: other servers are not told of it.
boost::asio::awaitable<http::response> post_passing_sandbox(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_sandboxes(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_sandbox(services& with, http::exchange& x);
boost::asio::awaitable<http::response> delete_sandbox(services& with, http::exchange& x);
boost::asio::awaitable<http::response> post_sandbox_execute(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_sandbox_health(services& with, http::exchange& x);
boost::asio::awaitable<http::response> post_deploy(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_deployments(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_deployment(services& with, http::exchange& x);
boost::asio::awaitable<http::response> put_files(services& with, http::exchange& x);
boost::asio::awaitable<http::response> put_revision(services& with, http::exchange& x);
boost::asio::awaitable<http::response> delete_deployment(services& with, http::exchange& x);
boost::asio::awaitable<http::response> get_deployment_logs(services& with, http::exchange& x);
boost::asio::awaitable<http::response> any_deployment(services& with, http::exchange& x);
boost::asio::awaitable<http::response> any_sandbox(services& with, http::exchange& x);
// The shapes of their errors, also for requests that do not reach the handler: emcc-sandboxd's clients expect `id`,
// `js` and `wasm` in every answer of /compile, those of /execute `status` and `message`.
http::response refuse_compile(const error& why);
http::response refuse_script(const error& why);
// Those of /mcp expect JSON-RPC.
http::response refuse_mcp(const error& why);

// Lines of a deployment's log behind number `after`, as its endpoint answers.
boost::asio::awaitable<http::response> answer_logs(std::string id, std::vector<faas::log_line> lines,
                                                   std::uint64_t after);

// An artifact that the store of this machine does not have, where others may have made it. `missing`: what the store
// says, which is what this says, too, where nobody has it. Errors: not_found, io, unavailable (they do not answer).
boost::asio::awaitable<result<std::shared_ptr<const artifacts::content>>> bring_artifact(
    services& with, std::string id, std::string name, bool accept_gzip, bool accept_brotli, client_key client,
    error missing);

// The last field of that name: what a proxy adds comes after what its client has sent. Empty: there is none.
std::string_view last_field(const http::exchange& x, std::string_view name);

// Notes what the work of a request has noted without its connection.
void note_timings_of(const http::exchange& apart, http::exchange& x);

// Every path of the host name belongs to that deployment.
boost::asio::awaitable<http::response> any_host(services& with, http::exchange& x, std::string id);

// The deployment's id in "<id>.<domain>[:port]"; nullopt if the host is not below the domain.
std::optional<std::string> deployment_of_host(std::string_view host, std::string_view domain);

}  // namespace sandboxd::api
