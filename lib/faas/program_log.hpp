// The log of a deployment, and the readers that wait for its next line.
#pragma once

#include "async/event.hpp"
#include "faas/log_ring.hpp"

#include <chrono>
#include <cstddef>
#include <list>
#include <string_view>

namespace sandboxd::faas {

struct program_log {
    // `bytes`: the limit of the ring.
    explicit program_log(std::size_t bytes) : ring{bytes} {}

    // Adds output, in pieces of any size; wakes the readers.
    void add(log_source from, std::string_view piece)
    {
        ring.append(from, piece, std::chrono::system_clock::now());
        wake();
    }
    // The same with at most `most` lines of it; returns the rest.
    [[nodiscard]] std::string_view add_some(log_source from, std::string_view piece, std::size_t most)
    {
        piece = ring.append_some(from, piece, std::chrono::system_clock::now(), most);
        wake();
        return piece;
    }
    // Adds a message of the server about the deployment: one line.
    void say(std::string_view text) { add(log_source::system, text); }
    // Ends unfinished lines, because the program is gone. The message about its end wakes the readers.
    void flush() { ring.flush(std::chrono::system_clock::now()); }
    void wake()
    {
        for (auto* const one : readers) one->set();
    }

    log_ring ring;
    std::list<async::event*> readers;  // each removes itself
};

}  // namespace sandboxd::faas
