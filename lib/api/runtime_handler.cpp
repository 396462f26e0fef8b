#include "api/handlers.hpp"
#include "api/reply.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace sandboxd::api {

namespace asio = boost::asio;
namespace json = boost::json;

asio::awaitable<http::response> get_runtimes(services& with, http::exchange&)
{
    co_await with.runtimes.probed();
    json::array all;
    for (const auto* one : with.runtimes.all()) {
        auto command = one->command;
        for (const auto& word : one->run_file) command += " " + word;
        all.push_back(json::object{{"name", one->name},
                                   {"version", one->version},
                                   {"entry_point", one->entry_name},
                                   {"command", command + " " + one->entry_name}});
    }
    // Without the cause: what a program that does not work has said is for the log.
    json::array missing;
    for (const auto name : programs::known_runtimes())
        if (!with.runtimes.find(name))
            missing.push_back(json::object{{"name", name}, {"cure", programs::cure_for(name)}});
    co_return json_reply(200, json::object{{"runtimes", std::move(all)}, {"missing", std::move(missing)}});
}

}  // namespace sandboxd::api
