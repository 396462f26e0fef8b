// The last lines of a deployment's output: a ring of bounded size in which every line has a unique number, so that a
// reader can continue where it stopped.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::faas {

enum class log_source { out, err, system };  // `system`: messages of the server about the deployment

// "stdout", "stderr", "system".
std::string_view name(log_source which) noexcept;

struct log_line {
    std::uint64_t id;  // from 1
    std::chrono::system_clock::time_point time;
    log_source source;
    std::string text;  // valid UTF-8, without its newline
    // The rendered line for followers of the log, once there is one; see log_ring::told.
    std::shared_ptr<const std::string> told{};
};

// Renders a line for followers of the log.
using log_renderer = std::string (*)(const log_line&);

class log_ring {
public:
    static constexpr std::size_t longest_line = 8 * 1024;  // longer lines are split
    static constexpr std::size_t line_overhead = 64;       // what a line counts in addition to its text

    // `bytes`: the limit of what is kept, including the overhead; the newest line is always kept.
    explicit log_ring(std::size_t bytes) : capacity_{bytes} {}

    // Appends output in pieces of any size. An unfinished line is held back until its newline, `flush`, or
    // `longest_line` bytes.
    void append(log_source from, std::string_view piece, std::chrono::system_clock::time_point now);
    // The same with at most `most` lines of `piece`; returns the rest of it. A piece of nothing but newlines has as
    // many lines as bytes.
    [[nodiscard]] std::string_view append_some(log_source from, std::string_view piece,
                                               std::chrono::system_clock::time_point now, std::size_t most);
    // Ends unfinished lines: the program is gone.
    void flush(std::chrono::system_clock::time_point now);

    const std::deque<log_line>& lines() const noexcept { return lines_; }
    // The lines after number `after`, at most the newest `most` of them, rendered by `render` (always the same
    // function). Each line is rendered once for all followers. Rendered lines are kept up to the same limit of bytes,
    // the newest ones; dropped ones are rendered again.
    struct told_lines {
        std::vector<std::pair<std::uint64_t, std::shared_ptr<const std::string>>> lines;
        std::size_t rendered{0};  // of these, the ones that had to be rendered
    };
    told_lines told(std::uint64_t after, std::size_t most, log_renderer render);
    // The number of the newest line; 0 when there was none yet.
    std::uint64_t last_id() const noexcept { return next_ - 1; }
    std::size_t bytes() const noexcept { return used_; }
    // Lines that were dropped to make room.
    std::uint64_t dropped() const noexcept { return dropped_; }

private:
    void push(log_source from, std::string_view text, std::chrono::system_clock::time_point now);

    std::size_t capacity_;
    std::size_t used_{0};
    std::uint64_t next_{1};
    std::uint64_t dropped_{0};
    std::deque<log_line> lines_;
    std::size_t told_bytes_{0};
    std::string unfinished_[2];
};

}  // namespace sandboxd::faas
