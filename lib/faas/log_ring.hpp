// The last lines that a deployment has printed: a ring of bounded size in which every line has a number that is
// never given again, so that a reader can say where it stopped.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace sandboxd::faas {

enum class log_source { out, err, system };  // `system`: what the server says about the deployment

// "stdout", "stderr", "system".
std::string_view name(log_source which) noexcept;

struct log_line {
    std::uint64_t id;  // from 1
    std::chrono::system_clock::time_point time;
    log_source source;
    std::string text;  // valid UTF-8, without its newline
};

class log_ring {
public:
    static constexpr std::size_t longest_line = 8 * 1024;  // what is longer is cut into lines
    static constexpr std::size_t line_overhead = 64;       // what a line counts for beside its text

    // `bytes`: at most that much is kept, the overhead included; the newest line always is.
    explicit log_ring(std::size_t bytes) : capacity_{bytes} {}

    // Appends what was printed, in any pieces; an unfinished line is kept back until its newline, `flush`, or
    // `longest_line` bytes.
    void append(log_source from, std::string_view piece, std::chrono::system_clock::time_point now);
    // Ends unfinished lines: the program is gone.
    void flush(std::chrono::system_clock::time_point now);

    const std::deque<log_line>& lines() const noexcept { return lines_; }
    // The number of the newest line; 0 when there was none yet.
    std::uint64_t last_id() const noexcept { return next_ - 1; }
    std::size_t bytes() const noexcept { return used_; }
    // Lines that had to go to make room.
    std::uint64_t dropped() const noexcept { return dropped_; }

private:
    void push(log_source from, std::string_view text, std::chrono::system_clock::time_point now);

    std::size_t capacity_;
    std::size_t used_{0};
    std::uint64_t next_{1};
    std::uint64_t dropped_{0};
    std::deque<log_line> lines_;
    std::string unfinished_[2];
};

}  // namespace sandboxd::faas
