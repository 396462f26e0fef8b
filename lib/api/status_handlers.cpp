#include "api/handlers.hpp"
#include "api/reply.hpp"

#include <boost/json/array.hpp>

namespace sandboxd::api {

namespace asio = boost::asio;
namespace json = boost::json;

asio::awaitable<http::response> get_health(services&, http::exchange&) { co_return text_reply(200, "ok"); }

asio::awaitable<http::response> get_ready(services& with, http::exchange&)
{
    json::array reasons;
    json::array degraded;
    const auto& compiler = with.compiler.ready();
    if (with.draining) reasons.emplace_back("draining");
    if (!compiler.probed) reasons.emplace_back("the toolchain has not been probed yet");
    if (!compiler.failure.empty()) reasons.emplace_back("toolchain: " + compiler.failure);
    if (with.js) {
        // Only one interface of several fails: do not take the whole server out of service.
        if (auto failure = with.js->failure(); !failure.empty())
            (with.js->starting() ? reasons : degraded).emplace_back(std::move(failure));
    }
    // The server still serves stored artifacts and runs what needs no disk.
    if (with.disk_shortage)
        if (auto shortage = with.disk_shortage(); !shortage.empty()) degraded.emplace_back(std::move(shortage));
    // What is compiled here needs no others.
    if (with.others_trouble)
        if (auto trouble = with.others_trouble(); !trouble.empty()) degraded.emplace_back(std::move(trouble));
    if (with.cluster_trouble)
        if (auto trouble = with.cluster_trouble(); !trouble.empty()) degraded.emplace_back(std::move(trouble));
    if (with.telemetry_trouble)
        if (auto trouble = with.telemetry_trouble(); !trouble.empty()) degraded.emplace_back(std::move(trouble));
    // Where the file is, and what is wrong with it, is for the log: everybody may read this.
    if (with.keys && !with.keys->failure().empty())
        degraded.emplace_back(
            "auth: the keys file cannot be used, so the former keys stay valid; the log has the cause");
    // Those of the file open this server meanwhile.
    if (with.keys && !with.keys->are_fleet_keys_known())
        degraded.emplace_back(
            "auth: the keys that servers share are not known yet: cluster.redis has not been read since the start; the "
            "log has the cause");
    json::array warnings;
    if (with.keyless_and_exposed)
        warnings.emplace_back(
            "auth: other machines can reach this server, and nobody needs a key; set auth.keysFile, or listen on "
            "loopback or a Unix socket");
    const bool ready = reasons.empty();
    auto r = json_reply(ready ? 200 : 503, json::object{{"ready", ready},
                                                        {"reasons", std::move(reasons)},
                                                        {"degraded", std::move(degraded)},
                                                        {"warnings", std::move(warnings)},
                                                        {"jail", with.jail},
                                                        {"walls", json::array(with.walls.begin(), with.walls.end())}});
    if (!ready) r.fields.emplace_back("Retry-After", "1");
    co_return r;
}

asio::awaitable<http::response> get_metrics(services& with, http::exchange&)
{
    auto r = text_reply(200, with.metrics.expose());
    r.content_type = "text/plain; version=0.0.4; charset=utf-8";
    co_return r;
}

asio::awaitable<http::response> get_version(services& with, http::exchange&)
{
    const auto& toolchain = with.compiler.ready().toolchain;
    const json::object body{{"name", "sandboxd"},
                            {"version", with.version},
                            {"toolchain", json::object{{"emcc", toolchain.version}, {"identity", toolchain.identity}}},
                            {"compile", json::object{{"path", with.compile_path}}},
                            {"jail", with.jail},
                            {"walls", json::array(with.walls.begin(), with.walls.end())}};
    co_return json_reply(200, body);
}

}  // namespace sandboxd::api
