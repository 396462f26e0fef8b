// The ways to use each kind of jail on this host, best first, for choose(). A new jail needs a function here, a file
// that defines it, and a row in choose.cpp.
#pragma once

#include "jail/jail.hpp"
#include "jail/launcher.hpp"
#include "jail/probe.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::jail {

struct candidate {
    // What is missing if this candidate is used; empty for the best one.
    std::string compromise;
    expectation expected;
    // Call once. `more` is added to the jail's warnings.
    std::function<std::unique_ptr<jail>(std::vector<std::string> more)> make;
};

using candidates = std::vector<candidate>;

// `pool`: the uids of jails if the server is root, otherwise null. Errors of each: `unavailable`, with the reason:
// "not installed", ….
boost::asio::awaitable<result<candidates>> bubblewrap_candidates(const jail_settings& wanted,
                                                                 std::shared_ptr<uid_pool> pool);
boost::asio::awaitable<result<candidates>> namespaces_candidates(const jail_settings& wanted,
                                                                 std::shared_ptr<uid_pool> pool);
boost::asio::awaitable<result<candidates>> nsjail_candidates(const jail_settings& wanted,
                                                             std::shared_ptr<uid_pool> pool);
boost::asio::awaitable<result<candidates>> oci_candidates(const jail_settings& wanted, std::shared_ptr<uid_pool> pool);
boost::asio::awaitable<result<candidates>> docker_candidates(const jail_settings& wanted,
                                                             std::shared_ptr<uid_pool> pool);

// A candidate for a jail that is a command line.
candidate from_plan(launch_plan plan, std::string compromise, const jail_settings& wanted, expectation expected = {});

// The executable's absolute path. `wanted`: a name to look up on the PATH, or a path; empty: the default name.
// Error: `unavailable`: "not installed", or the path that is not an executable file.
result<std::string> find_executable(const std::string& wanted, std::string_view default_name);

// The common walls of the own builder, bubblewrap, nsjail and the OCI runtimes that share the host's kernel.
std::vector<std::string> common_walls();

}  // namespace sandboxd::jail
