#include "faas/log_ring.hpp"

#include "base/utf8.hpp"

namespace sandboxd::faas {

std::string_view name(log_source which) noexcept
{
    switch (which) {
        case log_source::out: return "stdout";
        case log_source::err: return "stderr";
        case log_source::system: break;
    }
    return "system";
}

void log_ring::append(log_source from, std::string_view piece, std::chrono::system_clock::time_point now)
{
    if (from == log_source::system) {
        push(from, piece, now);
        return;
    }
    std::string& rest = unfinished_[from == log_source::out ? 0 : 1];
    while (!piece.empty()) {
        const auto end = piece.find('\n');
        const auto room = longest_line - rest.size();
        if (end != std::string_view::npos && end <= room) {
            rest.append(piece.substr(0, end));
            piece.remove_prefix(end + 1);
        } else if (piece.size() >= room) {
            rest.append(piece.substr(0, room));
            piece.remove_prefix(room);
        } else {
            rest.append(piece);
            return;
        }
        if (rest.ends_with('\r')) rest.pop_back();
        push(from, rest, now);
        rest.clear();
    }
}

void log_ring::flush(std::chrono::system_clock::time_point now)
{
    for (const auto from : {log_source::out, log_source::err}) {
        std::string& rest = unfinished_[from == log_source::out ? 0 : 1];
        if (!rest.empty()) push(from, rest, now);
        rest.clear();
    }
}

void log_ring::push(log_source from, std::string_view text, std::chrono::system_clock::time_point now)
{
    lines_.push_back({next_++, now, from, to_valid_utf8(text)});
    used_ += lines_.back().text.size() + line_overhead;
    while (used_ > capacity_ && lines_.size() > 1) {
        used_ -= lines_.front().text.size() + line_overhead;
        lines_.pop_front();
        ++dropped_;
    }
}

}  // namespace sandboxd::faas
