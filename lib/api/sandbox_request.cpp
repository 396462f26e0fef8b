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
        root.number(sandboxes::limit_table[i].name, into[i], any::min(), any::max())
            .set_by(sandboxes::limit_table[i].most_key, sandboxes::limit_table[i].usual_key)
            .means(sandboxes::limit_table[i].means);
}

void declare_sandbox(json_members& root, sandboxes::create_request& made, file_members<programs::program_file>& files,
                     const request_limits& limits)
{
    root.text("runtime", made.runtime).means("`node`, `typescript`, `bun` or `python`: see `GET /runtimes`.");
    root.text("code", made.code)
        .or_null()
        .means("The content of the entry point, unless `files` has a file of that name.");
    root.text("entry_point", made.entry_point)
        .or_null()
        .means("The file to run, a relative path; empty: the runtime's own, such as `index.js`.");
    files.add_to(root, limits.max_files, programs::too_many_files(limits.max_files))
        .means("The files of the program, read only.");
    add_variables(root, made.env);
    add_limits(root, made.asked);
}

void declare_execution(json_members& root, sandboxes::execution_request& made)
{
    root.text("stdin", made.stdin_text).or_null().means("Standard input.");
    add_limits(root, made.asked);
}

}  // namespace

result<sandboxes::create_request> read_sandbox_request(std::string_view body, const request_limits& limits)
{
    sandboxes::create_request made;
    json_members root;
    file_members files{made.files};
    declare_sandbox(root, made, files, limits);
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
    declare_execution(root, made);
    if (auto wrong = read_body(body, root, program_words, limits.json)) return std::move(*wrong);
    return made;
}

std::vector<json_member_info> sandbox_request_members(const request_limits& limits)
{
    sandboxes::create_request made;
    file_members files{made.files};
    json_members root;
    declare_sandbox(root, made, files, limits);
    return list_members(root);
}

std::vector<json_member_info> execution_request_members()
{
    sandboxes::execution_request made;
    json_members root;
    declare_execution(root, made);
    return list_members(root);
}

}  // namespace sandboxd::api
