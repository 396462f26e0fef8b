// The server's side of init/hold.hpp: the pipe over which what waits in a jail gets the word to begin.
#pragma once

#include "base/unique_fd.hpp"

#include <optional>
#include <string_view>
#include <utility>

namespace sandboxd::programs {

class hold_pipe {
public:
    // `for_runtime`: a runtime waits, which tells when it has booted. Nullopt: no descriptors are left.
    static std::optional<hold_pipe> make(bool for_runtime);

    // The end that the jail gets as init::hold::begin_fd_inside. It stays open here, too, to see what was read.
    int inside() const noexcept { return inside_.get(); }
    // Whether all that was written has been read. Before the word: the runtime has booted. After it: the program has
    // begun.
    bool is_read() const noexcept;
    // Writes the word. So little always fits.
    void say(std::string_view word) noexcept;

private:
    hold_pipe(unique_fd from, unique_fd to) : inside_{std::move(from)}, ours_{std::move(to)} {}

    unique_fd inside_;
    unique_fd ours_;
};

}  // namespace sandboxd::programs
