// What makes one server the only one on its directories: locks, held for as long as it lives.
#pragma once

#include "base/errc.hpp"
#include "base/unique_fd.hpp"
#include "config/config.hpp"

#include <string>
#include <utility>
#include <vector>

namespace sandboxd::app {

class instance {
public:
    // Makes the directories that the server fills where they are missing, and locks each (flock(2)), whatever it is
    // called here: through a symbolic link or another mount it is the same one. Nothing in them is touched before.
    // Errors: unavailable, another server works there, with its process and the cure; io.
    static result<instance> take(const config::settings& settings);

    // Names this server in what outlives it, such as containers: kept in <baseDir>/.sandboxd.lock, so it is the same
    // after a restart, and no other server's.
    const std::string& id() const noexcept { return id_; }

private:
    instance(std::vector<unique_fd> held, std::string id) : held_{std::move(held)}, id_{std::move(id)} {}

    std::vector<unique_fd> held_;
    std::string id_;
};

}  // namespace sandboxd::app
