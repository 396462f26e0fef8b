// What choose() asks each kind of jail for: the ways to use it on this host, the best first. A new jail is a
// function here, a file that defines it, and a row in choose.cpp.
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
    // What is not as it should be, when this one must do; empty for the best.
    std::string compromise;
    expectation expected;
    // Once. `more` goes to the jail's warnings.
    std::function<std::unique_ptr<jail>(std::vector<std::string> more)> make;
};

using candidates = std::vector<candidate>;

// `pool`: the uids for jails of a server that is root; null where it is not.
// Errors of each: `unavailable`, why there is not one: "not installed", ….
boost::asio::awaitable<result<candidates>> bubblewrap_candidates(const settings& wanted,
                                                                 std::shared_ptr<uid_pool> pool);
boost::asio::awaitable<result<candidates>> nsjail_candidates(const settings& wanted, std::shared_ptr<uid_pool> pool);
boost::asio::awaitable<result<candidates>> oci_candidates(const settings& wanted, std::shared_ptr<uid_pool> pool);
boost::asio::awaitable<result<candidates>> docker_candidates(const settings& wanted, std::shared_ptr<uid_pool> pool);

// A candidate of a jail that is a command line.
candidate from_plan(launch_plan plan, std::string compromise, const settings& wanted, expectation expected = {});

// The executable's absolute path. `wanted`: a name to look up on the PATH, or a path; empty: the default name.
// Error: `unavailable`: "not installed", or the path that is not an executable file.
result<std::string> find_executable(const std::string& wanted, std::string_view default_name);

// What bubblewrap, nsjail and the OCI runtimes that share the host's kernel have in common.
std::vector<std::string> common_walls();

}  // namespace sandboxd::jail
