// From an entry point, as a client writes it, to a program and its arguments: `bun dev`, `bun run --hot
// index.ts`, `npm start`, `node server.js`, or just `index.ts`. No shell has a part in it: words are split here,
// the scripts of package.json are looked up here, and what only a shell could do is refused.
#pragma once

#include "base/errc.hpp"

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::faas {

struct command_line {
    // The first word is a runtime's command, such as "node", the path of a file of the deployment behind which the
    // runtime is to be put (`is_file`), or the name of a program in node_modules/.bin (`is_package_binary`).
    std::vector<std::string> words;
    std::vector<std::pair<std::string, std::string>> env;  // `NAME=value` before the command
    bool is_file{false};
    bool is_package_binary{false};

    bool operator==(const command_line&) const = default;
};

// Splits at blanks; '…' and "…" keep blanks together, a backslash outside '…' takes the next character as it
// is. Errors: unprocessable, for an open quote, for what a shell would have to do (`&&`, `|`, `;`, `<`, `>`,
// `$`, a backquote, `(`, a glob) and for more than 64 words; the message holds the cure.
result<std::vector<std::string>> split_words(std::string_view line);

// `scripts`: those of package.json. `files`: the paths of the deployment's. `commands`: the words for runtimes.
// Errors: unprocessable: as above; a script that is not there or calls itself; an empty line; an absolute path.
result<command_line> resolve_entry_point(std::string_view entry_point,
                                         const std::map<std::string, std::string, std::less<>>& scripts,
                                         const std::vector<std::string>& files,
                                         const std::vector<std::string>& commands);

}  // namespace sandboxd::faas
