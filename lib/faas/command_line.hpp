// Turns a client's entry point into a program and its arguments: `bun dev`, `bun run --hot index.ts`, `npm start`,
// `node server.js`, or just `index.ts`. No shell is used: words are split here, scripts of package.json are looked up
// here, and anything that needs a shell is refused.
#pragma once

#include "base/errc.hpp"

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::faas {

struct command_line {
    // The first word is a runtime's command, such as "node"; or the path of a deployment's file that the runtime must
    // run (`is_file`); or the name of a program in node_modules/.bin (`is_package_binary`).
    std::vector<std::string> words;
    std::vector<std::pair<std::string, std::string>> env;  // `NAME=value` before the command
    bool is_file{false};
    bool is_package_binary{false};

    bool operator==(const command_line&) const = default;
};

// Splits at blanks; '…' and "…" protect blanks, and a backslash outside '…' protects the next character. Errors:
// unprocessable, for an open quote, for shell syntax (`&&`, `|`, `;`, `<`, `>`, `$`, a backquote, `(`, a glob) and
// for more than 64 words; the message has the cure.
result<std::vector<std::string>> split_words(std::string_view line);

// `scripts`: those of package.json. `files`: the paths of the deployment's files. `commands`: the commands of
// runtimes. Errors: unprocessable: as above; a script that is missing or calls itself; an empty line; an absolute
// path.
result<command_line> resolve_entry_point(std::string_view entry_point,
                                         const std::map<std::string, std::string, std::less<>>& scripts,
                                         const std::vector<std::string>& files,
                                         const std::vector<std::string>& commands);

}  // namespace sandboxd::faas
