// What a Docker daemon is told about one container: the body of POST /containers/create.
// https://docs.docker.com/reference/api/engine/version/v1.41/
//
// As under an OCI runtime, PID 1 is sandboxd-init. The daemon keeps a container's streams when its client goes;
// that the server is gone, the init sees by the end of its standard input.
#pragma once

#include "jail/spec.hpp"
#include "process/command.hpp"

#include <boost/json/object.hpp>

#include <string>
#include <string_view>

namespace sandboxd::jail {

// The label by which a server finds the containers of an earlier one.
inline constexpr std::string_view docker_label = "sandboxd.server";

struct docker_setup {
    std::string image;
    std::string init;    // sandboxd-init, outside
    std::string server;  // the label's value
    // Inside and outside: a daemon's containers share the host's user namespace. Each container's own, where there are
    // uids for that.
    process::identity who;
    // As in oci_setup.
    std::string filter_offline{};
    std::string filter_online{};
};

// Where the init finds the socket that hands descriptors over.
inline constexpr std::string_view descriptors_inside = "/dev/descriptors";

// `descriptors`: the socket's path outside; empty where nothing is passed. Pure.
//
// The daemon mounts a hosts, a hostname and a resolv.conf of its own, with the host's resolvers, over what is not named
// in the spec's mounts.
boost::json::object docker_container(const spec& what, const docker_setup& setup, const std::string& descriptors);

// An archive of an image that holds nothing but the directories that a container must have. Pure.
std::string empty_image();

// The version of the API to speak, "1.41", given the least and the latest that the daemon does. Empty when there
// is none. Pure.
std::string choose_api(std::string_view least, std::string_view latest);

// `text`, as a part of a URL. Pure.
std::string percent_encoded(std::string_view text);

}  // namespace sandboxd::jail
