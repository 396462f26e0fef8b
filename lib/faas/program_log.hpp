// The log of a deployment, with those who wait for its next line.
#pragma once

#include "async/event.hpp"
#include "faas/log_ring.hpp"

#include <chrono>
#include <cstddef>
#include <list>
#include <string_view>

namespace sandboxd::faas {

struct program_log {
    // `bytes`: what the ring keeps at most.
    explicit program_log(std::size_t bytes) : ring{bytes} {}

    // What was printed, in any pieces; wakes the readers.
    void add(log_source from, std::string_view piece)
    {
        ring.append(from, piece, std::chrono::system_clock::now());
        wake();
    }
    // What the server says about the deployment: one line.
    void say(std::string_view text) { add(log_source::system, text); }
    // Ends unfinished lines: the program is gone. Readers are woken by what is said of its end.
    void flush() { ring.flush(std::chrono::system_clock::now()); }
    void wake()
    {
        for (auto* const one : readers) one->set();
    }

    log_ring ring;
    std::list<async::event*> readers;  // each takes itself out again
};

}  // namespace sandboxd::faas
