#include "process/host_lookup.hpp"

#include "base/text.hpp"
#include "process/child.hpp"

#include <unistd.h>

#include <algorithm>
#include <sstream>

namespace sandboxd::process {

namespace asio = boost::asio;

asio::awaitable<result<std::vector<asio::ip::address>>> look_up(std::string host, std::chrono::milliseconds patience,
                                                                async::stop_source& stop)
{
    std::vector<asio::ip::address> found;
    boost::system::error_code ec;
    if (const auto literal = asio::ip::make_address(host, ec); !ec) {
        found.push_back(literal);
        co_return found;
    }
    command ask;
    ask.argv = {"/usr/bin/getent", "ahosts", host};
    if (::access(ask.argv.front().c_str(), X_OK) != 0) ask.argv.front() = "/bin/getent";
    ask.env = {{"PATH", "/usr/bin:/bin"}};
    const child_limits limits{.wall = patience, .output_bytes = 64 * 1024};
    // The child's deadline must not look like the end of the caller's work.
    async::stop_source own;
    const async::stop_callback chain{stop, [&own](errc cause) { own.request(cause); }};
    const auto ran = co_await run(std::move(ask), {}, limits, own);
    if (!ran) co_return ran.error();
    std::istringstream lines{ran->out};
    for (std::string line; std::getline(lines, line);) {
        const auto address = asio::ip::make_address(line.substr(0, line.find(' ')), ec);
        if (!ec && std::ranges::find(found, address) == found.end()) found.push_back(address);
    }
    if (found.empty() && host == "localhost")
        found = {asio::ip::address_v4::loopback(), asio::ip::address_v6::loopback()};
    if (found.empty()) co_return error{errc::not_found, "the host " + in_quotes(host) + " cannot be resolved"};
    co_return found;
}

}  // namespace sandboxd::process
