// One pass over a compiler's output, line by line: the tool, place and severity of each message. Text that only the
// compiler's developers understand is rewritten for the client.
#include "compile/diagnostics.hpp"

#include "base/ascii.hpp"
#include "base/utf8.hpp"
#include "compile/demangle.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

namespace sandboxd::compile {

namespace {

struct marker {
    std::string_view text;
    severity level;
};

// Matched only where a message's head ends, so "error" is never found inside "fatal error".
constexpr marker markers[] = {
    {"fatal error: ", severity::fatal_error}, {"error: ", severity::error},
    {"warning: ", severity::warning},         {"note: ", severity::note},
    {"remark: ", severity::remark},
};

// The same in Python's logging, after the name of one of emcc's modules: "system_libs:WARNING: ".
constexpr marker loggers_markers[] = {
    {":WARNING: ", severity::warning},
    {":ERROR: ", severity::error},
    {":CRITICAL: ", severity::fatal_error},
};

// How LLVM's fatal errors begin.
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

// Removes terminal escapes: whole CSI sequences (ECMA-48, 5.4), and other escapes with the byte that follows.
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
            if (i < line.size() && static_cast<unsigned char>(line[i]) >= 0x80)
                --i;  // a non-ASCII character interrupts the sequence
        } else if (i + 1 < line.size() && static_cast<unsigned char>(line[i + 1]) < 0x80) {
            ++i;  // never a part of a character
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

// The message and severity of a line that a logger printed.
std::optional<marker> loggers_message(std::string_view line) noexcept
{
    const auto name = line.substr(0, line.find(':'));
    const bool is_module = !name.empty() && name.size() < line.size() &&
                           std::ranges::all_of(name, [](char c) { return is_lower(c) || is_digit(c) || c == '_'; });
    if (!is_module) return std::nullopt;
    for (const auto& one : loggers_markers)
        if (line.substr(name.size()).starts_with(one.text))
            return marker{line.substr(name.size() + one.text.size()), one.level};
    return std::nullopt;
}

// Whether a tool other than clang printed the line: such messages hold names of symbols and objects.
bool is_linkers(std::string_view line) noexcept
{
    return line.starts_with("wasm-ld") || line.starts_with(">>> ") || loggers_message(line) ||
           line.starts_with("error: undefined symbol: ") || line.starts_with("warning: undefined symbol: ") ||
           line.starts_with("emcc: ") || line.starts_with("em++: ");
}

// emcc's advice after a linker error. It does not help a client who can change only the program.
bool is_advice(std::string_view line) noexcept
{
    return (line.starts_with("warning: Link with `-s") &&
            line.find("LLD_REPORT_UNDEFINED") != std::string_view::npos) ||
           line.starts_with("warning: To disable errors for undefined symbols use `-s") ||
           (line.starts_with("warning: _") &&
            line.ends_with(" may need to be added to EXPORTED_FUNCTIONS if it arrives from a system library")) ||
           line.starts_with("Error: Aborting compilation due to previous errors") ||
           line.starts_with("note: to disable errors for undefined symbols use `-s");
}

// What emcc appends to a message for its own developers.
constexpr std::string_view asides[] = {
    " (referenced by top-level compiled C/C++ code)",
    " (referenced by root reference (e.g. compiled C/C++ code))",
    " (pass --no-entry to suppress)",
};

std::string_view trimmed_end(std::string_view text) noexcept
{
    while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
    return text;
}

// A byte of a character beyond ASCII counts, too: in a program's text it is in a name, or in a comment or a text.
bool is_in_identifier(char c) noexcept
{
    return is_alphanumeric(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

// The identifier that `text` begins with; empty: none.
std::string_view leading_identifier(std::string_view text) noexcept
{
    return text.substr(0, static_cast<std::size_t>(std::ranges::find_if_not(text, is_in_identifier) - text.begin()));
}

std::string_view trimmed_begin(std::string_view text) noexcept
{
    return text.substr(std::min(text.find_first_not_of(" \t"), text.size()));
}

// The name of the operator whose name goes on with `text` after the word "operator", however it is spaced:
// "operator==", "operator new[]", "operator bool". Empty where it is no such name, and for a conversion to a type that
// is more than a word.
std::string operator_name(std::string_view text)
{
    constexpr std::string_view symbols[] = {"<=>", "<<=", ">>=", "->*", "()", "[]", "->", "++", "--", "<<",
                                            ">>",  "<=",  ">=",  "==",  "!=", "&&", "||", "+=", "-=", "*=",
                                            "/=",  "%=",  "^=",  "&=",  "|=", "+",  "-",  "*",  "/",  "%",
                                            "^",   "&",   "|",   "~",   "!",  "=",  "<",  ">",  ","};
    constexpr std::string_view literal = "\"\"";
    const std::string word = "operator";
    text = trimmed_begin(text);
    if (text.starts_with(literal)) {
        const auto suffix = leading_identifier(trimmed_begin(text.substr(literal.size())));
        return suffix.empty() ? std::string{} : word + std::string{literal} + std::string{suffix};
    }
    if (const auto type = leading_identifier(text); !type.empty()) {
        const auto rest = trimmed_begin(text.substr(type.size()));
        const bool is_list = (type == "new" || type == "delete") && rest.starts_with("[]");
        if (!is_list && !rest.empty() && !rest.starts_with('(')) return {};
        return word + ' ' + std::string{type} + (is_list ? "[]" : "");
    }
    const auto known = std::ranges::find_if(symbols, [&](std::string_view one) { return text.starts_with(one); });
    return known == std::end(symbols) ? std::string{} : word + std::string{*known};
}

std::string_view stem(std::string_view path) noexcept
{
    path = path.substr(path.rfind('/') + 1);
    return path.substr(0, path.rfind('.'));
}

// The source of one of emcc's objects: "/tmp/emscripten_temp_x/util_3.o" is unit 3, named util. Other versions number
// differently, so a unique name decides. Empty: unknown.
std::string_view source_of(std::string_view object, std::span<const std::string> units) noexcept
{
    auto named = stem(object);
    // One that was asked for by name.
    if (named.starts_with(object_prefix) && object.find('/', 1) == std::string_view::npos)
        named.remove_prefix(object_prefix.size());
    const auto line = named.rfind('_');
    std::size_t index = units.size();
    if (line != std::string_view::npos) {
        const auto digits = named.substr(line + 1);
        const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
        if (ec != std::errc{} || end != digits.data() + digits.size()) index = units.size();
    }
    const auto base = named.substr(0, line);
    if (index < units.size() && stem(units[index]) == base) return units[index];
    std::string_view found;
    for (const auto& unit : units) {
        if (stem(unit) != base && stem(unit) != named) continue;
        if (!found.empty()) return {};
        found = unit;
    }
    return found;
}

// clang's name of main() in an object is not a name that anybody wrote.
void name_main(std::string& text)
{
    for (const std::string_view inner : {"__original_main", "__main_argc_argv", "__main_void"}) {
        std::size_t from = 0;
        for (std::size_t at = 0; (at = text.find(inner, from)) != std::string::npos;) {
            const auto end = at + inner.size();
            const bool whole =
                (at == 0 || !is_in_identifier(text[at - 1])) && (end == text.size() || !is_in_identifier(text[end]));
            if (whole) text.replace(at, inner.size(), "main");
            from = at + 1;
        }
    }
}

// What is left of the limits for one output.
struct budget {
    std::size_t names;
    std::size_t objects{256};
};

// A message of a tool other than clang, with sources instead of objects and demangled names.
std::string tidy(std::string_view message, std::span<const std::string> units, budget& left)
{
    std::string text;
    constexpr std::string_view temporary = "/emscripten_temp";
    constexpr std::string_view ending = ".o";
    for (; !message.empty() && left.objects > 0; --left.objects) {
        const auto at = message.find(temporary);
        const auto end = at == std::string_view::npos ? at : message.find(ending, at);
        if (end == std::string_view::npos) break;
        // The directory of temporary files may be anywhere.
        const auto before = message.substr(0, at);
        const auto begin = before.find_last_of(" '\"(") + 1;
        const auto object = message.substr(at, end + ending.size() - at);
        const auto source = source_of(object, units);
        text += before.substr(0, begin);
        text += source.empty() ? object.substr(object.rfind('/') + 1) : source;
        message.remove_prefix(end + ending.size());
    }
    text += message;
    name_main(text);
    for (const auto aside : asides) {
        const auto at = text.find(aside);
        if (at != std::string::npos) text.erase(at, aside.size());
    }
    if (text.find("_Z") == std::string::npos || left.names == 0) return text;
    constexpr std::size_t of_one_message = 16;
    const auto most = std::min(left.names, of_one_message);
    left.names -= most;
    return with_demangled_names(text, most);
}

// "a.cpp: undefined symbol: x" → "a.cpp", and the rest stays: the linker's messages begin with an object.
std::string take_source(std::string& message, std::span<const std::string> units)
{
    for (const auto& unit : units) {
        if (!message.starts_with(unit) || message.compare(unit.size(), 2, ": ") != 0) continue;
        message.erase(0, unit.size() + 2);
        return unit;
    }
    return {};
}

// wasm-ld names an object that the client does not know: "main_0.o: undefined …".
std::string_view without_object(std::string_view message) noexcept
{
    const auto end = message.find(": ");
    if (end == std::string_view::npos || !message.substr(0, end).ends_with(".o")) return message;
    return message.substr(end + 2);
}

// emcc ends with "'/usr/bin/clang-14 <a screen of arguments>' failed (returned 1)". This returns "clang-14 failed",
// which is all that a person needs; std::nullopt for any other message.
std::optional<std::string_view> failed_tool(std::string_view message) noexcept
{
    if (!message.starts_with('\'')) return std::nullopt;
    const auto space = message.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    const std::string_view command = message.substr(1, space - 1);
    if (!command.starts_with('/')) {
        // The tool was found on the PATH. The end of the line is missing if the line was too long.
        constexpr std::string_view punctuation = "._+-/";
        constexpr std::size_t cut_off = 1024;
        const bool is_command = !command.empty() && std::ranges::all_of(command, [&](char c) {
            return is_alphanumeric(c) || punctuation.find(c) != std::string_view::npos;
        });
        const bool failed = message.find("' failed (") != std::string_view::npos || message.size() > cut_off;
        if (!is_command || !failed) return std::nullopt;
    }
    return command.substr(command.rfind('/') + 1);
}

bool is_of(const job_text& job, std::string_view file) noexcept
{
    return std::ranges::any_of(job.files, [&](const source_file& one) { return one.path == file; });
}

std::optional<diagnostic> parse_line(std::string_view line, bool after_an_error, const job_text& job, budget& left,
                                     const diagnostic_limits& limits)
{
    if (is_advice(line)) return std::nullopt;
    if (line.starts_with(llvm_error)) {
        diagnostic found;
        found.level = severity::fatal_error;
        found.message = clean(line, limits.max_message_bytes);
        return found;
    }
    if (const auto logged = loggers_message(line)) {
        diagnostic found;
        found.level = logged->level;
        found.message = clean(tidy(logged->text, job.units, left), limits.max_message_bytes);
        if (found.message.empty()) return std::nullopt;
        return found;
    }
    // The head ends where a severity begins: at the start of the line, or after the first ": " that a severity
    // follows.
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
    // The output holds source excerpts, too, which may contain words like "error": a head is one word, or one of
    // clang's names in angle brackets ("<command line>", "<scratch space>"). The request's own files may have blanks
    // and quotes in their names.
    std::string_view path = head;
    while (take_number(path)) {
    }
    const bool clangs_own = head.starts_with('<');
    if (!is_of(job, as_in_the_request(path)) &&
        head.find_first_of(clangs_own ? "\"'`;(){}" : " \t\"'`;(){}<>") != std::string_view::npos)
        return std::nullopt;

    if (const auto last = take_number(head)) {
        if (const auto line_number = take_number(head)) {
            found.line = *line_number;
            found.column = *last;
        } else {
            found.line = *last;
        }
        if (found.line == 0) found.column = 0;  // lines count from 1: not a place
        head = as_in_the_request(head);
        if (head.empty()) return std::nullopt;
        found.file = clean(head, limits.max_file_bytes);
    } else if (head.find('/') != std::string_view::npos || head.find('.') != std::string_view::npos) {
        // "main.c: warning: …": a file without a place
        found.file = clean(as_in_the_request(head), limits.max_file_bytes);
    } else if (const auto tool = failed_tool(message); tool && !head.empty()) {
        if (after_an_error) return std::nullopt;  // the earlier error says it better
        found.message = clean(std::string{*tool} + " failed", limits.max_message_bytes);
        return found;
    } else {
        // "wasm-ld: error: …": the tool's name, or none
        auto text = tidy(message, job.units, left);
        found.file = clean(take_source(text, job.units), limits.max_file_bytes);
        found.message = clean(without_object(text), limits.max_message_bytes);
        if (found.message.empty()) return std::nullopt;
        return found;
    }
    found.message = clean(message, limits.max_message_bytes);
    if (found.message.empty()) return std::nullopt;
    return found;
}

// Takes the next line of `output`, without its line end and terminal escapes, cut to `most` bytes. The cut-off part
// is lost.
std::string take_line(std::string_view& output, std::size_t most)
{
    const std::size_t end = output.find('\n');
    std::string_view line = output.substr(0, std::min(end, most));
    output.remove_prefix(end == std::string_view::npos ? output.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line.find('\x1b') == std::string_view::npos ? std::string{line} : without_escapes(line);
}

// "In file included from main.cpp:1:" → main.cpp, 1.
std::optional<place> included_from(std::string_view line, const diagnostic_limits& limits)
{
    constexpr std::string_view begin = "In file included from ";
    if (!line.starts_with(begin) || !line.ends_with(':')) return std::nullopt;
    line.remove_prefix(begin.size());
    line.remove_suffix(1);
    const auto number = take_number(line);
    if (!number || line.empty()) return std::nullopt;
    return place{.file = clean(as_in_the_request(line), limits.max_file_bytes), .line = *number};
}

place place_of(const diagnostic& item)
{
    return {.file = item.file, .line = item.line, .column = item.column, .column_utf16 = item.column_utf16};
}

// Reads line by line and remembers what a later message may refer to.
class reader {
public:
    reader(const job_text& job, const diagnostic_limits& limits) : job_{job}, limits_{limits} {}

    // False: there are too many.
    bool read(const std::string& line)
    {
        if (line.empty() || line.front() == ' ' || line.front() == '\t') return true;
        if (const auto from = included_from(line, limits_)) {
            if (!in_stack_) stack_.reset();
            in_stack_ = true;
            // The innermost include comes last, and it is the one that counts.
            if (is_of(job_, from->file)) stack_ = from;
            return true;
        }
        if (line.starts_with(">>> ")) {
            read_definition(line);
            return true;
        }
        // "2 errors generated.", "1 warning and 1 error generated.": what follows is about another unit.
        if (is_digit(line.front()) && line.ends_with(" generated.")) ++unit_;
        auto found = parse_line(line, after_an_error_, job_, left_, limits_);
        if (!found) return true;
        if (list_.items.size() == limits_.max_items) {
            list_.truncated = true;
            return false;
        }
        after_an_error_ |= found->level == severity::error || found->level == severity::fatal_error;
        // clang prints the include stack of a file once, not again for the next message in it.
        if (in_stack_) stack_of_ = found->file;
        in_stack_ = false;
        list_.items.push_back(std::move(*found));
        unit_of_.push_back(unit_);
        included_.push_back(stack_ && list_.items.back().file == stack_of_ ? stack_ : std::nullopt);
        return true;
    }

    diagnostic_list finish()
    {
        drop_repeated();
        name_users();
        set_columns();
        std::size_t owner = list_.items.size();
        for (std::size_t i = 0; i < list_.items.size(); ++i) {
            auto& item = list_.items[i];
            if (item.level != severity::note)
                owner = i;
            else if (owner != list_.items.size())
                list_.items[owner].notes.push_back({.at = place_of(item), .message = item.message});
        }
        set_origins();
        return std::move(list_);
    }

private:
    // ">>> defined in /tmp/emscripten_temp_x/a_0.o", below "duplicate symbol: f()"; ">>> defined as (i32) -> i32 in …",
    // below "function signature mismatch: f".
    void read_definition(std::string_view line)
    {
        constexpr std::string_view begin = ">>> defined ";
        constexpr std::size_t most_definitions = 16;
        if (!line.starts_with(begin) || list_.items.empty()) return;
        line.remove_prefix(begin.size());
        auto& item = list_.items.back();
        if (item.notes.size() == most_definitions) return;
        constexpr std::string_view duplicate = "duplicate symbol: ";
        constexpr std::string_view mismatch = "function signature mismatch: ";
        constexpr std::string_view in = "in ";
        constexpr std::string_view as = "as ";
        std::string what;
        if (item.message.starts_with(duplicate) && line.starts_with(in)) {
            what = "`" + item.message.substr(duplicate.size()) + "` is defined here";
            line.remove_prefix(in.size());
        } else if (item.message.starts_with(mismatch) && line.starts_with(as)) {
            const auto at = line.find(" in ");
            if (at == std::string_view::npos) return;
            what = "`" + item.message.substr(mismatch.size()) + "` is declared or defined here as ";
            what += line.substr(as.size(), at - as.size());
            line.remove_prefix(at + in.size() + 1);
        } else {
            return;
        }
        auto file = clean(tidy(line, job_.units, left_), limits_.max_file_bytes);
        if (item.file.empty() && is_of(job_, file)) item.file = file;
        item.notes.push_back({.at = {.file = std::move(file)}, .message = clean(what, limits_.max_message_bytes)});
    }

    // Drops a linker's message that comes twice: main() has two names, and each is defined twice.
    void drop_repeated()
    {
        constexpr std::string_view duplicate = "duplicate symbol: ";
        for (std::size_t i = 1; i < list_.items.size();) {
            const auto& item = list_.items[i];
            if (item.line == 0 && item.message.starts_with(duplicate) && item == list_.items[i - 1]) {
                list_.items.erase(list_.items.begin() + static_cast<std::ptrdiff_t>(i));
                included_.erase(included_.begin() + static_cast<std::ptrdiff_t>(i));
                unit_of_.erase(unit_of_.begin() + static_cast<std::ptrdiff_t>(i));
            } else {
                ++i;
            }
        }
    }

    // The last name before the parameters: `f` of "ns::f(int)", of "int f<int>(int)" and of "f", an operator's of
    // "ns::operator==(A, A)". Empty where there is none.
    static std::string called(std::string_view symbol)
    {
        constexpr std::string_view unnamed = "(anonymous namespace)";
        std::string_view last;
        for (std::size_t depth = 0; !symbol.empty();) {
            if (const auto word = leading_identifier(symbol); !word.empty()) {
                symbol.remove_prefix(word.size());
                if (depth == 0 && word == "operator") return operator_name(symbol);
                if (depth == 0) last = word;
                continue;
            }
            if (symbol.starts_with(unnamed)) {
                symbol.remove_prefix(unnamed.size());
                continue;
            }
            const char c = symbol.front();
            if (depth == 0 && c == '(') break;
            if (c == '<' || c == '(' || c == '[') ++depth;
            if (depth > 0 && (c == '>' || c == ')' || c == ']')) --depth;
            symbol.remove_prefix(1);
        }
        return std::string{last};
    }

    // emcc says which function is missing, but not where it is used. This names the request's units whose text holds
    // the function's name, or else its other files. Each text is walked once, for all names.
    void name_users()
    {
        constexpr std::string_view undefined = "undefined symbol: ";
        constexpr std::size_t most_users = 16;
        std::map<std::string, std::vector<diagnostic*>, std::less<>> missing;
        for (auto& item : list_.items) {
            if (!item.file.empty() || !item.message.starts_with(undefined)) continue;
            auto name = called(std::string_view{item.message}.substr(undefined.size()));
            if (!name.empty()) missing[std::move(name)].push_back(&item);
        }
        if (missing.empty()) return;
        const auto is_unit = [&](const source_file& file) {
            return std::ranges::find(job_.units, file.path) != job_.units.end();
        };
        for (const bool units : {true, false}) {
            for (const auto& file : job_.files) {
                if (is_unit(file) != units) continue;
                for (const auto& name : names_in(file.content, missing)) {
                    for (auto* item : missing.find(name)->second) {
                        // Headers count only for names that no unit holds.
                        const bool in_units = !item->notes.empty() && !units &&
                                              std::ranges::find(job_.units, item->file) != job_.units.end();
                        if (in_units || item->notes.size() == most_users) continue;
                        if (item->file.empty()) item->file = file.path;
                        item->notes.push_back(
                            {.at = {.file = file.path}, .message = "`" + std::string{name} + "` is named here"});
                    }
                }
            }
        }
    }

    // Which of the names in `wanted` stand in `text`, as whole identifiers, or where an operator is declared or called
    // by its name.
    template <typename Names>
    static std::set<std::string_view> names_in(std::string_view text, const Names& wanted)
    {
        std::set<std::string_view> found;
        for (std::size_t at = 0; at < text.size() && found.size() < wanted.size();) {
            const auto word = leading_identifier(text.substr(at));
            if (word.empty()) {
                ++at;
                continue;
            }
            const auto end = at + word.size();
            // A name in an #include is not a use of the function.
            if (word == "include" && at > 0 && trimmed_end(text.substr(0, at)).ends_with('#')) {
                at = std::min(text.find('\n', end), text.size());
                continue;
            }
            const auto name = word == "operator" ? wanted.find(operator_name(text.substr(end))) : wanted.find(word);
            if (name != wanted.end()) found.insert(name->first);
            at = end;
        }
        return found;
    }

    // The note that names a line of the request's files, preferably with "requested here".
    const diagnostic_note* asking_note(const diagnostic& item) const
    {
        const diagnostic_note* best = nullptr;
        for (const auto& note : item.notes) {
            if (!is_of(job_, note.at.file)) continue;
            const bool asks = note.message.ends_with("requested here");
            if (best == nullptr || (asks && !best->message.ends_with("requested here"))) best = &note;
        }
        return best;
    }

    // clang prints the instantiation stack with the first message, not again with the next ones. A message comes from
    // an #include only if no instantiation led to it.
    void set_origins()
    {
        std::optional<place> asked;  // of the last message that an instantiation led to
        for (std::size_t i = 0; i < list_.items.size(); ++i) {
            auto& item = list_.items[i];
            if (i > 0 && unit_of_[i] != unit_of_[i - 1]) asked.reset();
            if (is_of(job_, item.file)) {
                item.origin = place_of(item);
                if (item.level != severity::note) asked.reset();
                continue;
            }
            if (item.level != severity::note) {
                if (item.file.empty()) asked.reset();  // printed by another tool
                if (const auto* note = asking_note(item)) asked = note->at;
            }
            item.origin = asked ? asked : included_[i];
        }
    }

    // Every source is walked at most once, from its beginning to the last place in it.
    void set_columns()
    {
        std::map<std::string_view, std::vector<diagnostic*>> by_file;
        for (auto& item : list_.items) {
            item.column_utf16 = item.column;
            if (item.column > 1) by_file[item.file].push_back(&item);
        }
        for (const auto& file : job_.files) {
            const auto found = by_file.find(file.path);
            if (found == by_file.end()) continue;
            std::ranges::sort(found->second, {},
                              [](const diagnostic* one) { return std::pair{one->line, one->column}; });
            walk(file.content, found->second);
        }
    }

    static void walk(std::string_view content, std::span<diagnostic* const> items)
    {
        std::size_t begin = 0;  // of the line
        unsigned line = 1;
        std::size_t at = 0;  // in the line, up to which `units` are counted
        unsigned units = 0;
        for (auto* item : items) {
            for (; line < item->line; ++line) {
                const auto end = content.find('\n', begin);
                if (end == std::string_view::npos) return;  // a #line names a line that does not exist
                begin = end + 1;
                at = 0;
                units = 0;
            }
            const auto end = std::min<std::size_t>(begin + item->column - 1, content.size());
            for (; begin + at < end; ++at) {
                const auto octet = static_cast<unsigned char>(content[begin + at]);
                if (octet == '\n') break;
                // Count each character's first byte; a character beyond the basic plane has two units (RFC 2781).
                units += octet >= 0xf0 ? 2 : octet < 0x80 || octet >= 0xc0 ? 1 : 0;
            }
            if (begin + at == end) item->column_utf16 = units + 1;
        }
    }

    const job_text& job_;
    const diagnostic_limits& limits_;
    diagnostic_list list_;
    std::vector<std::optional<place>> included_;  // of each item
    std::vector<std::size_t> unit_of_;            // of each item: how many units were finished before it
    std::size_t unit_{0};
    std::optional<place> stack_;  // the innermost of the request's files in the last include stack
    std::string stack_of_;        // the file that it led to
    bool in_stack_{false};
    bool after_an_error_{false};
    budget left_{.names = limits_.max_names};
};

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

diagnostic_list parse_diagnostics(std::string_view output, const job_text& job, const diagnostic_limits& limits)
{
    // A line is read only as far as it could be kept; escapes and the place are extra.
    constexpr std::size_t extra_bytes = 256;
    const std::size_t seen_bytes = limits.max_file_bytes + limits.max_message_bytes + extra_bytes;

    reader lines{job, limits};
    while (!output.empty() && lines.read(take_line(output, seen_bytes))) {
    }
    return lines.finish();
}

std::string for_people(std::string_view output, const job_text& job, const diagnostic_limits& limits)
{
    std::string text;
    text.reserve(output.size());
    budget left{.names = limits.max_names};
    bool after_an_error = false;
    std::optional<std::size_t> duplicate;  // where in `text` the last linker's message about a symbol began
    std::string before;                    // the one before it
    const auto end_duplicate = [&] {
        if (!duplicate) return;
        // main() has two names, and each is defined twice.
        auto all = text.substr(*duplicate);
        if (all == before) text.resize(*duplicate);
        before = std::move(all);
        duplicate.reset();
    };
    while (!output.empty()) {
        auto line = take_line(output, output.size());
        if (!line.starts_with(">>> ")) end_duplicate();
        if (is_advice(line)) continue;
        // "emcc: error: '/usr/bin/clang-14 …' failed (returned 1)"
        constexpr std::string_view error = ": error: ";
        constexpr std::size_t longest_speaker = 32;
        const auto speaker = std::string_view{line}.substr(0, longest_speaker + error.size()).find(error);
        if (speaker != std::string_view::npos &&
            std::string_view{line}.substr(0, speaker).find(' ') == std::string_view::npos) {
            const auto message = std::string_view{line}.substr(speaker + error.size());
            const auto tool = failed_tool(message);
            const auto failed = line.rfind("' failed (");
            if (tool && failed != std::string::npos) {
                if (after_an_error) continue;
                line = line.substr(0, speaker + error.size()) + std::string{*tool} + line.substr(failed + 1);
            }
        }
        after_an_error |= line.find("error: ") != std::string::npos;
        if (is_linkers(line)) line = tidy(line, job.units, left);
        if (line.starts_with("wasm-ld") && line.find("duplicate symbol: ") != std::string::npos)
            duplicate = text.size();
        text += line;
        text += '\n';
    }
    end_duplicate();
    while (text.ends_with("\n\n")) text.pop_back();
    return text;
}

}  // namespace sandboxd::compile
