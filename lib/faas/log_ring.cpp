#include "faas/log_ring.hpp"

#include "base/utf8.hpp"

#include <algorithm>

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
    while (!piece.empty()) piece = append_some(from, piece, now, static_cast<std::size_t>(-1));
}

std::string_view log_ring::append_some(log_source from, std::string_view piece,
                                       std::chrono::system_clock::time_point now, std::size_t most)
{
    if (from == log_source::system) {
        push(from, piece, now);
        return {};
    }
    std::string& rest = unfinished_[from == log_source::out ? 0 : 1];
    for (std::size_t lines = 0; !piece.empty() && lines < most; ++lines) {
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
            return {};
        }
        if (rest.ends_with('\r')) rest.pop_back();
        push(from, rest, now);
        rest.clear();
    }
    return piece;
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
    lines_.push_back({.id = next_++, .time = now, .source = from, .text = to_valid_utf8(text)});
    used_ += lines_.back().text.size() + line_overhead;
    while (used_ > capacity_ && lines_.size() > 1) {
        used_ -= lines_.front().text.size() + line_overhead;
        if (lines_.front().told) told_bytes_ -= lines_.front().told->size();
        lines_.pop_front();
        ++dropped_;
    }
}

log_ring::told_lines log_ring::told(std::uint64_t after, std::size_t most, log_renderer render)
{
    told_lines all;
    // The numbers have no gaps.
    const auto oldest = next_ - lines_.size();
    std::size_t from = after < oldest ? 0 : static_cast<std::size_t>(std::min(after, next_ - 1) + 1 - oldest);
    if (lines_.size() - from > most) from = lines_.size() - most;
    for (; from < lines_.size(); ++from) {
        auto& line = lines_[from];
        if (!line.told) {
            line.told = std::make_shared<const std::string>(render(line));
            told_bytes_ += line.told->size();
            ++all.rendered;
        }
        all.lines.emplace_back(line.id, line.told);
    }
    for (auto line = lines_.begin(); told_bytes_ > capacity_ && line != lines_.end(); ++line) {
        if (!line->told) continue;
        told_bytes_ -= line->told->size();
        line->told.reset();
    }
    return all;
}

}  // namespace sandboxd::faas
