// Locks that make a server the only one in its directories, held as long as it lives.
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
    // Makes missing directories that the server fills, and locks each one (flock(2)); a symbolic link or another
    // mount leads to the same lock. Changes nothing in them before. Errors: unavailable, if another server uses one,
    // with its process and the cure; io.
    static result<instance> take(const config::settings& settings);

    // Identifies this server in things that outlive it, such as containers. It is kept in <baseDir>/.sandboxd.lock,
    // so it is unique and the same after a restart.
    const std::string& id() const noexcept { return id_; }

private:
    instance(std::vector<unique_fd> held, std::string id) : held_{std::move(held)}, id_{std::move(id)} {}

    std::vector<unique_fd> held_;
    std::string id_;
};

}  // namespace sandboxd::app
