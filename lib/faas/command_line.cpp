#include "faas/command_line.hpp"

#include "base/ascii.hpp"
#include "base/utf8.hpp"
#include "faas/manifest.hpp"

#include <algorithm>

namespace sandboxd::faas {

namespace {

// Of one command line, which is bounded in bytes, too; the message says what to do with more. Scripts that lead to
// scripts more often than this lead in a circle.
constexpr std::size_t most_words = 64;
constexpr int deepest_script = 8;

bool is_assignment(std::string_view word)
{
    const auto equals = word.find('=');
    if (equals == std::string_view::npos || equals == 0) return false;
    if (is_digit(word.front())) return false;
    return std::ranges::all_of(word.substr(0, equals), [](char c) { return c == '_' || is_alphanumeric(c); });
}

bool is_program_name(std::string_view word)
{
    return !word.empty() && word.front() != '.' && word.front() != '-' &&
           std::ranges::all_of(word, [](char c) { return c == '_' || c == '-' || c == '.' || is_alphanumeric(c); });
}

// Of what a client wrote: a message need not hold all of it.
std::string shown_line(std::string_view line)
{
    constexpr std::size_t most_shown = 200;
    return "'" + std::string{utf8_prefix(line, most_shown)} + (line.size() > most_shown ? "…'" : "'");
}

std::string_view without_dot(std::string_view path)
{
    while (path.starts_with("./")) path.remove_prefix(2);
    return path;
}

// The name of the script that a package manager's command line runs; empty if it runs none. `rest`: the words to
// append to the script's own.
std::string script_asked_for(const std::vector<std::string>& words,
                             const std::map<std::string, std::string, std::less<>>& scripts,
                             std::vector<std::string>& rest)
{
    const auto& manager = words.front();
    const bool bun = manager == "bun";
    if (!bun && manager != "npm" && manager != "yarn" && manager != "pnpm") return {};
    if (words.size() < 2) return {};
    std::size_t at = 1;
    const bool run = words[at] == "run" || words[at] == "run-script";
    if (run && ++at == words.size()) return {};
    const auto& name = words[at];
    if (name.starts_with('-')) return {};
    // bun also runs files; a script of that name takes precedence (https://bun.sh/docs/cli/run).
    if (bun && !scripts.contains(name)) return {};
    rest.assign(words.begin() + static_cast<std::ptrdiff_t>(at) + 1, words.end());
    if (!rest.empty() && rest.front() == "--") rest.erase(rest.begin());
    return name;
}

}  // namespace

result<std::vector<std::string>> split_words(std::string_view line)
{
    if (line.size() > longest_entry_point)
        return unprocessable("the entry point has " + std::to_string(line.size()) + " bytes, more than " +
                             std::to_string(longest_entry_point) + "; put what is long into a file or into env_vars");
    std::vector<std::string> words;
    std::string word;
    bool in_word = false;
    char quote = 0;
    const auto too_many = [] { return unprocessable("the entry point has more than 64 words"); };
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (c == '\0' || c == '\n' || c == '\r') return unprocessable("the entry point must be one line");
        if (quote == '\'') {
            if (c == quote)
                quote = 0;
            else
                word += c;
            continue;
        }
        if (c == '\\' && i + 1 < line.size()) {
            word += line[++i];
            in_word = true;
            continue;
        }
        if (c == '$' || c == '`')
            return unprocessable(shown_line(line) + " needs a shell ('" + c +
                                 "'), which is not supported; write the value itself, or set it in env_vars");
        if (quote == '"') {
            if (c == quote)
                quote = 0;
            else
                word += c;
            continue;
        }
        if (c == '\'' || c == '"') {
            quote = c;
            in_word = true;
        } else if (c == ' ' || c == '\t') {
            if (in_word && words.size() == most_words) return too_many();
            if (in_word) words.push_back(std::move(word));
            word.clear();
            in_word = false;
        } else if (std::string_view{"&|;<>()*?"}.find(c) != std::string_view::npos) {
            return unprocessable(shown_line(line) + " needs a shell ('" + c +
                                 "'), which is not supported; write one command without operators");
        } else {
            word += c;
            in_word = true;
        }
    }
    if (quote != 0) return unprocessable(shown_line(line) + " has a quote that is not closed");
    if (in_word && words.size() == most_words) return too_many();
    if (in_word) words.push_back(std::move(word));
    return words;
}

result<command_line> resolve_entry_point(std::string_view entry_point,
                                         const std::map<std::string, std::string, std::less<>>& scripts,
                                         const std::vector<std::string>& files,
                                         const std::vector<std::string>& commands)
{
    command_line made;
    auto words = split_words(entry_point);
    if (!words) return words.error();
    for (int depth = 0;; ++depth) {
        auto& now = *words;
        while (!now.empty() && is_assignment(now.front())) {
            const auto equals = now.front().find('=');
            made.env.emplace_back(now.front().substr(0, equals), now.front().substr(equals + 1));
            now.erase(now.begin());
        }
        if (now.empty())
            return unprocessable("entry_point names no program; write one such as 'bun dev' or 'index.js'");
        if (now.size() == 2 && now[0] == "npm" && (now[1] == "start" || now[1] == "test"))
            now.insert(now.begin() + 1, "run");
        std::vector<std::string> rest;
        const auto name = script_asked_for(now, scripts, rest);
        if (name.empty()) break;
        const auto script = scripts.find(name);
        if (script == scripts.end())
            return unprocessable("package.json has no script " + shown_line(name) + ", which " +
                                 shown_line(entry_point) + " asks for");
        if (depth == deepest_script) return unprocessable("the script " + shown_line(name) + " calls itself");
        auto inner = split_words(script->second);
        if (!inner) return error{errc::unprocessable, "script " + shown_line(name) + ": " + inner.error().message};
        inner->insert(inner->end(), rest.begin(), rest.end());
        words = std::move(inner);
    }
    auto& program = words->front();
    if (program == "npx" || program == "bunx") {
        words->erase(words->begin());
        if (words->empty()) return unprocessable(shown_line(entry_point) + " names no program");
        made.is_package_binary = true;
    }
    auto& first = words->front();
    if (first.starts_with('/')) return unprocessable("entry_point must not be an absolute path: " + shown_line(first));
    if (const auto path = without_dot(first);
        std::ranges::find(files, path) != files.end() && !made.is_package_binary) {
        first = std::string{path};
        made.is_file = true;
    } else if (std::ranges::find(commands, first) == commands.end()) {
        if (!is_program_name(first))
            return unprocessable("entry_point names " + shown_line(first) +
                                 ", but this deployment has no such file; send it in files");
        if (first == "npm" || first == "yarn" || first == "pnpm")
            return unprocessable(shown_line(entry_point) + " runs no script; only '" + first +
                                 " run NAME' is supported");
        if (first.find('.') != std::string::npos)
            return unprocessable("entry_point names " + shown_line(first) +
                                 ", but this deployment has no such file; send it in files");
        made.is_package_binary = true;
    }
    made.words = std::move(*words);
    return made;
}

}  // namespace sandboxd::faas
