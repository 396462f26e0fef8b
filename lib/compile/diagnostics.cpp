#include "compile/diagnostics.hpp"

#include "base/ascii.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace sandboxd::compile {

namespace {

struct marker {
    std::string_view text;
    severity level;
};

// Tried only where a message's head ends, so "error" is never found inside "fatal error".
constexpr marker markers[] = {
    {"fatal error: ", severity::fatal_error}, {"error: ", severity::error},
    {"warning: ", severity::warning},         {"note: ", severity::note},
    {"remark: ", severity::remark},
};

// How LLVM itself speaks when it gives up.
constexpr std::string_view llvm_error = "LLVM ERROR: ";

// Takes `:<number>` off the end of `head`.
std::optional<unsigned> take_number(std::string_view& head) noexcept
{
    std::size_t begin = head.size();
    while (begin > 0 && is_digit(head[begin - 1])) --begin;
    const std::string_view digits = head.substr(begin);
    constexpr std::size_t most_digits = 9;  // fits `unsigned`
    if (digits.empty() || digits.size() > most_digits || begin == 0 || head[begin - 1] != ':') return std::nullopt;
    unsigned value = 0;
    for (const char c : digits) value = value * 10 + static_cast<unsigned>(c - '0');
    head.remove_suffix(digits.size() + 1);
    return value;
}

// Removes terminal escapes: CSI sequences (ECMA-48, 5.4) whole, other escapes with the byte that
// follows.
std::string without_escapes(std::string_view line)
{
    std::string plain;
    plain.reserve(line.size());
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] != '\x1b') {
            plain.push_back(line[i]);
            continue;
        }
        if (i + 1 < line.size() && line[i + 1] == '[') {
            i += 2;
            while (i < line.size() && line[i] >= 0x20 && line[i] < 0x40) ++i;
        } else {
            ++i;
        }
    }
    return plain;
}

// Valid UTF-8 of at most `max_bytes`, with a space for every control character (C0, DEL, C1).
std::string clean(std::string_view text, std::size_t max_bytes)
{
    std::string valid = to_valid_utf8(text);
    std::string out;
    out.reserve(valid.size());
    for (std::size_t i = 0; i < valid.size(); ++i) {
        const auto octet = static_cast<unsigned char>(valid[i]);
        const bool c1 = octet == 0xc2 && static_cast<unsigned char>(valid[i + 1]) < 0xa0;
        if (c1) ++i;
        out.push_back(c1 || octet < 0x20 || octet == 0x7f ? ' ' : valid[i]);
    }
    out.resize(utf8_prefix(out, max_bytes).size());
    return out;
}

// emcc may put "./" before the name that the request gave.
std::string_view as_in_the_request(std::string_view file) noexcept
{
    if (file.starts_with("./")) file.remove_prefix(2);
    return file;
}

// wasm-ld names the object file, whose path is random: "/tmp/emscripten_temp_x/main_0.o: undefined
// …".
std::string_view without_object_path(std::string_view message) noexcept
{
    if (!message.starts_with('/')) return message;
    const auto end = message.find(": ");
    if (end == std::string_view::npos || !message.substr(0, end).ends_with(".o")) return message;
    return message.substr(end + 2);
}

// emcc ends with "'/usr/bin/clang-14 <a screen of arguments>' failed (returned 1)". What a person
// needs of that is "clang-14 failed"; std::nullopt for any other message.
std::optional<std::string_view> failed_tool(std::string_view message) noexcept
{
    if (!message.starts_with("'/")) return std::nullopt;
    const auto space = message.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    const std::string_view command = message.substr(1, space - 1);
    return command.substr(command.rfind('/') + 1);
}

std::optional<diagnostic> parse_line(std::string_view line, bool after_an_error, const diagnostic_limits& limits)
{
    if (line.starts_with(llvm_error)) {
        diagnostic found;
        found.level = severity::fatal_error;
        found.message = clean(line, limits.max_message_bytes);
        return found;
    }
    // The head ends where a severity begins: at the start of the line or behind the first ": " that
    // has one next to it.
    const auto severity_at = [&](std::size_t at) -> const marker* {
        for (const auto& m : markers)
            if (line.substr(at).starts_with(m.text)) return &m;
        return nullptr;
    };
    std::size_t at = 0;
    const marker* found_marker = severity_at(0);
    constexpr std::size_t place_bytes = 32;  // ":<line>:<column>: "
    const std::size_t head_end = std::min(line.size(), limits.max_file_bytes + place_bytes);
    for (std::size_t i = 0; found_marker == nullptr && i + 1 < head_end; ++i) {
        if (line[i] != ':' || line[i + 1] != ' ') continue;
        at = i + 2;
        found_marker = severity_at(at);
    }
    if (found_marker == nullptr) return std::nullopt;

    diagnostic found;
    found.level = found_marker->level;
    std::string_view message = line.substr(at + found_marker->text.size());
    std::string_view head = line.substr(0, at == 0 ? 0 : at - 2);
    // Source excerpts stand in the output too, and may hold words like ours: a head is one word, or
    // one of clang's own names in angle brackets ("<command line>", "<scratch space>").
    const bool clangs_own = head.starts_with('<');
    if (head.find_first_of(clangs_own ? "\"'`;(){}" : " \t\"'`;(){}<>") != std::string_view::npos) return std::nullopt;

    if (const auto last = take_number(head)) {
        if (const auto line_number = take_number(head)) {
            found.line = *line_number;
            found.column = *last;
        } else {
            found.line = *last;
        }
        if (found.line == 0) found.column = 0;  // lines count from 1: this is no place
        head = as_in_the_request(head);
        if (head.empty()) return std::nullopt;
        found.file = clean(head, limits.max_file_bytes);
    } else if (head.find('/') != std::string_view::npos || head.find('.') != std::string_view::npos) {
        // "main.c: warning: …": a file without a place
        found.file = clean(as_in_the_request(head), limits.max_file_bytes);
    } else if (const auto tool = failed_tool(message); tool && !head.empty()) {
        if (after_an_error) return std::nullopt;  // it has been said better
        found.message = clean(std::string{*tool} + " failed", limits.max_message_bytes);
        return found;
    } else {
        message = without_object_path(message);  // "wasm-ld: error: …": the speaker, or nobody
    }
    found.message = clean(message, limits.max_message_bytes);
    if (found.message.empty()) return std::nullopt;
    return found;
}

}  // namespace

std::string_view name(severity value) noexcept
{
    switch (value) {
        case severity::note: return "note";
        case severity::remark: return "remark";
        case severity::warning: return "warning";
        case severity::error: return "error";
        case severity::fatal_error: break;
    }
    return "fatal_error";
}

diagnostic_list parse_diagnostics(std::string_view output, const diagnostic_limits& limits)
{
    // No more of a line is looked at than could be kept of it; escapes and the place are extra.
    constexpr std::size_t extra_bytes = 256;
    const std::size_t seen_bytes = limits.max_file_bytes + limits.max_message_bytes + extra_bytes;

    diagnostic_list list;
    bool after_an_error = false;
    while (!output.empty()) {
        const std::size_t end = output.find('\n');
        std::string_view line = output.substr(0, std::min(end, seen_bytes));
        output.remove_prefix(end == std::string_view::npos ? output.size() : end + 1);

        if (line.ends_with('\r')) line.remove_suffix(1);
        std::string plain;
        if (line.find('\x1b') != std::string_view::npos) {
            plain = without_escapes(line);
            line = plain;
        }
        if (line.empty() || line.front() == ' ' || line.front() == '\t') continue;
        auto found = parse_line(line, after_an_error, limits);
        if (!found) continue;
        if (list.items.size() == limits.max_items) {
            list.truncated = true;
            break;
        }
        after_an_error |= found->level == severity::error || found->level == severity::fatal_error;
        list.items.push_back(std::move(*found));
    }
    return list;
}

}  // namespace sandboxd::compile
