// Fuzzes the argument policy: the input is a list of tokens, one a line. Whatever it says, no
// composed command line may hold a token that emcc would read as a file, an output or another
// tool's option.
#include "base/utf8.hpp"
#include "compile/argument_policy.hpp"
#include "require.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd;
using namespace sandboxd::compile;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    std::string_view input{reinterpret_cast<const char*>(data), size};
    const auto lang = size % 2 == 0 ? language::c : language::cpp;
    std::vector<std::string> tokens;
    while (!input.empty()) {
        const auto end = input.find('\n');
        tokens.emplace_back(input.substr(0, end));
        input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
    }
    static const std::vector<std::string> files{
        "main.c", "x.txt", "data/a.txt", "data/sub/b.bin", "a b/it's.txt", "'q'/'x'", "gr\xc3\xb6\xc3\x9f/e.txt"};

    const auto done = apply_policy(tokens, files, lang);
    if (!done) {
        require(!done.error().message.empty());
        return 0;
    }
    for (const auto& token : done->argv) {
        require(token.size() >= 2 && token.front() == '-');
        require(std::ranges::none_of(token, [](unsigned char c) { return c < 0x20 || c == 0x7f; }));
        require(is_valid_utf8(token));
        const bool packs = token.starts_with("--embed-file=") || token.starts_with("--preload-file=");
        require(std::ranges::count(token, '@') == (packs ? 1 : 0));
        if (token.starts_with("--")) {
            require(packs || token.starts_with("--source-map-base="));
            if (packs) {
                const bool embeds = token.starts_with("--embed-file=");
                const std::string_view value = std::string_view{token}.substr(token.find('=') + 1);
                const std::string_view source = value.substr(0, value.find('@'));
                const std::string_view place = value.substr(value.find('@') + 1);
                require(std::ranges::find(files, source) != files.end());
                require(!embeds || std::ranges::all_of(place, [](unsigned char c) { return c < 0x80; }));
                require(!path_shape_defect(place, {.max_path_bytes = size + 100, .max_path_depth = 100}));
            }
        } else {
            require(token != "-s" && token != "-D" && token != "-U");
            require(std::string_view{"ODIUWfgilmps"}.find(token[1]) != std::string_view::npos);
            if (token[1] == 'W') require(token.find(',') == std::string::npos);
            if (token[1] == 'l') require(token == "-lembind");
            if (token.starts_with("-include")) {
                require(std::ranges::find(files, token.substr(std::string_view{"-include"}.size())) != files.end());
            } else if (token[1] == 'I' || token[1] == 'i') {
                const std::size_t option = token[1] == 'I' ? 2 : token.starts_with("-iquote") ? 7 : 8;
                require(option == 2 || option == 7 || token.starts_with("-isystem"));
                const auto folder = token.substr(option);
                require(folder == "." || std::ranges::any_of(files, [&](const std::string& file) {
                            return file.starts_with(folder + '/');
                        }));
            }
        }
    }
    for (const auto& one : done->ignored) {
        require(!one.reason.empty() && !one.effect.empty() && one.index < tokens.size());
        require(is_valid_utf8(one.token));
    }
    require(strict_refusal(done->ignored, tokens.size()) == std::nullopt);
    // Canonical: a second pass changes nothing and drops nothing.
    const auto again = apply_policy(
        done->argv, files, lang,
        {.max_tokens = done->argv.size(), .max_token_bytes = 4 * size + 100, .max_total_bytes = 100 * size + 10000});
    require(again.has_value() && again->argv == done->argv && again->ignored.empty());
    return 0;
}
