#include "api/compile_request.hpp"

#include "api/file_members.hpp"
#include "api/read_json.hpp"
#include "base/json_reader.hpp"
#include "compile/argument_policy.hpp"
#include "compile/source_file.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::api {

namespace {

struct compile_members {
    compile::request into{};
    std::optional<std::string> code{};
    std::optional<std::string> type{};
    file_members<compile::source_file> files{into.files};

    void declare(json_members& root, const request_limits& limits)
    {
        const auto most_args = compile::policy_limits{}.max_tokens;
        root.text("code", code).means("The source; it becomes `main.c` or `main.cpp`. Either `code` or `files`.");
        root.text("type", type).means("The language of `code`: `c` (the default), `cpp`, `cc` or `c++`.");
        root.boolean("cache", into.cache).means("`false` compiles afresh even if the result is stored.");
        root.boolean("strict", into.strict)
            .means("`true` refuses the request if dropping an argument may change the program (compile.strictArgs).");
        root.texts("args", into.args)
            .or_null()
            .at_most(most_args, compile::too_many_arguments(most_args))
            .means(
                "Compiler arguments, after the server's own (defaultArgs). One that is not allowed is dropped and "
                "listed in `ignoredArgs`.");
        files.add_to(root, limits.max_files, compile::too_many_files(limits.max_files))
            .or_null()
            .means("Sources, headers and data, instead of `code`. Every source is compiled, by its ending.");
    }
};

}  // namespace

std::vector<json_member_info> compile_request_members(const request_limits& limits)
{
    compile_members members;
    json_members root;
    members.declare(root, limits);
    return list_members(root);
}

result<compile::request> read_compile_request(std::string_view body, const request_limits& limits)
{
    constexpr std::size_t deepest = 16;
    auto json = limits.json;
    json.max_depth = std::min(json.max_depth, deepest);
    compile_members members;
    auto& [into, code, type, files] = members;
    json_members root;
    members.declare(root, limits);
    if (auto wrong = read_body(body, root, usual_words, json)) return std::move(*wrong);
    if (auto wrong = files.decode()) return std::move(*wrong);
    if (type) {
        into.type = compile::parse_language(*type);
        if (!into.type) return invalid_request("type must be 'c' or 'cpp'");
    }
    if (!into.files.empty()) {
        if (code && !code->empty()) return invalid_request("send either code or files, not both");
        return std::move(into);
    }
    if (!code || code->empty()) return invalid_request("code is required");
    into.code = std::move(*code);
    return std::move(into);
}

}  // namespace sandboxd::api
