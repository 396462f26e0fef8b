#include "api/sandbox_request.hpp"

#include "api/file_members.hpp"
#include "api/program_request.hpp"
#include "api/read_json.hpp"
#include "programs/program_files.hpp"
#include "programs/table.hpp"

#include <limits>

namespace sandboxd::api {

namespace {

// The configuration decides later whether they are in range.
void add_limits(json_members& root, sandboxes::asked_limits& into)
{
    using any = std::numeric_limits<std::int64_t>;
    for (std::size_t i = 0; i < into.size(); ++i)
        root.number(sandboxes::limit_table[i].name, into[i], any::min(), any::max());
}

}  // namespace

result<sandboxes::create_request> read_sandbox_request(std::string_view body, const request_limits& limits)
{
    sandboxes::create_request made;
    json_members root;
    root.text("runtime", made.runtime);
    root.text("code", made.code).or_null();
    root.text("entry_point", made.entry_point).or_null();
    file_members files{made.files};
    files.add_to(root, limits.max_files, programs::too_many_files(limits.max_files));
    add_variables(root, made.env);
    add_limits(root, made.asked);
    if (auto wrong = read_body(body, root, program_words, limits.json)) return std::move(*wrong);
    if (auto wrong = files.decode()) return std::move(*wrong);
    if (made.runtime.empty()) return invalid_request("runtime is required: " + programs::known_names());
    if (auto wrong = check_variables(made.env)) return std::move(*wrong);
    if (made.code.empty() && made.files.empty()) return invalid_request("send code or files");
    return made;
}

result<sandboxes::execution_request> read_execution_request(std::string_view body, const request_limits& limits)
{
    sandboxes::execution_request made;
    if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) return made;
    json_members root;
    root.text("stdin", made.stdin_text).or_null();
    add_limits(root, made.asked);
    if (auto wrong = read_body(body, root, program_words, limits.json)) return std::move(*wrong);
    return made;
}

}  // namespace sandboxd::api
