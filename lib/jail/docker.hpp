// The description of one container for a Docker daemon: the body of POST /containers/create.
// https://docs.docker.com/reference/api/engine/version/v1.41/
//
// As under an OCI runtime, PID 1 is sandboxd-init. The daemon keeps a container's streams open when its client
// disconnects; the end of its standard input tells the init that the server is gone.
#pragma once

#include "jail/seccomp.hpp"
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
    // The ids inside and outside: a daemon's containers share the host's user namespace. Each container has its own
    // if there are uids for that.
    process::identity who;
    container_filters filters{};
    std::string word{};  // of this container's init (init::argument::word)
};

// The path at which the init finds the socket that passes descriptors.
inline constexpr std::string_view descriptors_inside = "/dev/descriptors";

// `descriptors`: the socket's path outside; empty if nothing is passed. Pure.
//
// Unless the spec mounts them, the daemon mounts its own hosts, hostname and resolv.conf, with the host's resolvers.
boost::json::object docker_container(const spec& what, const docker_setup& setup, const std::string& descriptors);

// An archive of an image that contains only the directories that a container needs. Pure.
std::string empty_image();

// The version of the API to use, "1.41", given the oldest and the latest that the daemon supports. Empty when none
// fits. Pure.
std::string choose_api(std::string_view least, std::string_view latest);

// `text`, as a part of a URL. Pure.
std::string percent_encoded(std::string_view text);

}  // namespace sandboxd::jail
