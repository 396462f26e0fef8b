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

result<compile::request> read_compile_request(std::string_view body, const request_limits& limits)
{
    constexpr std::size_t deepest = 16;
    auto json = limits.json;
    json.max_depth = std::min(json.max_depth, deepest);
    const auto most_args = compile::policy_limits{}.max_tokens;
    compile::request into;
    std::optional<std::string> code;
    std::optional<std::string> type;
    json_members root;
    root.text("code", code);
    root.text("type", type);
    root.boolean("cache", into.cache);
    root.boolean("strict", into.strict);
    root.texts("args", into.args).or_null().at_most(most_args, compile::too_many_arguments(most_args));
    file_members files{into.files};
    files.add_to(root, limits.max_files, compile::too_many_files(limits.max_files)).or_null();
    if (auto wrong = read_body(body, root, usual_words, json)) return std::move(*wrong);
    if (auto wrong = files.decode()) return std::move(*wrong);
    if (type) {
        into.type = compile::parse_language(*type);
        if (!into.type) return invalid_request("type must be 'c' or 'cpp'");
    }
    if (!into.files.empty()) {
        if (code && !code->empty()) return invalid_request("send either code or files, not both");
        return into;
    }
    if (!code || code->empty()) return invalid_request("code is required");
    into.code = std::move(*code);
    return into;
}

}  // namespace sandboxd::api
