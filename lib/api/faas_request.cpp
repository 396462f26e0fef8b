#include "api/faas_request.hpp"

#include "api/file_members.hpp"
#include "api/program_request.hpp"
#include "api/read_json.hpp"
#include "programs/program_files.hpp"
#include "programs/table.hpp"

namespace sandboxd::api {

namespace {

constexpr double most_minutes = 60.0 * 24 * 365;

}  // namespace

result<faas::deploy_request> read_deploy_request(std::string_view body, const request_limits& limits)
{
    faas::deploy_request made;
    std::int64_t memory_mb = 0;
    std::optional<double> idle_minutes;
    json_members root;
    root.text("runtime", made.runtime);
    root.text("code", made.code);
    root.text("entry_point", made.entry_point);
    file_members files{made.files};
    files.add_to(root, limits.max_files, programs::too_many_files(limits.max_files));
    add_variables(root, made.env);
    root.number("memory_limit_mb", memory_mb, 1, 1 << 20);
    root.object("auto_scale", [&idle_minutes](json_members& its) {
        its.number("scale_down_after_minutes", idle_minutes, 0, most_minutes);
    });
    if (auto wrong = read_body(body, root, program_words, limits.json)) return std::move(*wrong);
    if (auto wrong = files.decode()) return std::move(*wrong);
    if (made.runtime.empty()) return invalid_request("runtime is required: " + programs::known_names());
    if (auto wrong = check_variables(made.env)) return std::move(*wrong);
    if (made.code.empty() && made.files.empty()) return invalid_request("send code or files");
    if (memory_mb > 0) made.memory_mb = memory_mb;
    if (idle_minutes) made.idle = std::chrono::milliseconds{static_cast<std::int64_t>(*idle_minutes * 60'000)};
    return made;
}

result<files_request> read_files_request(std::string_view body, const request_limits& limits)
{
    files_request made;
    json_members root;
    file_members files{made.files};
    files.add_to(root, limits.max_files, programs::too_many_files(limits.max_files));
    root.boolean("restart_dev_server", made.restart);
    if (auto wrong = read_body(body, root, program_words, limits.json)) return std::move(*wrong);
    if (auto wrong = files.decode()) return std::move(*wrong);
    if (made.files.empty()) return invalid_request("files must hold at least one file");
    return made;
}

}  // namespace sandboxd::api
