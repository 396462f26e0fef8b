#include "api/compile_request.hpp"

#include "api/file_members.hpp"
#include "api/read_json.hpp"
#include "base/json_reader.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::api {

result<compile::request> read_compile_request(std::string_view body)
{
    compile::request into;
    std::optional<std::string> code;
    std::optional<std::string> type;
    json_members root;
    root.text("code", code);
    root.text("type", type);
    root.boolean("cache", into.cache);
    root.boolean("strict", into.strict);
    root.texts("args", into.args).or_null();
    file_members files{into.files};
    files.add_to(root).or_null();
    if (auto wrong = read_body(body, root, usual_words, {.max_depth = 16})) return std::move(*wrong);
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
