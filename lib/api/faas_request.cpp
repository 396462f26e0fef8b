#include "api/faas_request.hpp"

#include "api/file_members.hpp"
#include "api/program_request.hpp"
#include "api/read_json.hpp"
#include "programs/program_files.hpp"
#include "programs/table.hpp"

namespace sandboxd::api {

namespace {

// A year: who wants more wants 0, never.
constexpr double most_minutes = 60.0 * 24 * 365;
constexpr std::int64_t most_instances = 1 << 20;

struct deploy_members {
    faas::deploy_request made{};
    std::int64_t memory_mb{0};
    std::optional<double> idle_minutes{};
    std::optional<std::int64_t> max_instances{};
    file_members<faas::deployment_file> files{made.files};

    void declare(json_members& root, const request_limits& limits)
    {
        root.text("runtime", made.runtime).means("`node`, `bun`, `typescript` or `python`: see `GET /runtimes`.");
        root.text("code", made.code).means("The content of the runtime's entry file, unless `files` has one.");
        root.text("entry_point", made.entry_point)
            .means(
                "A file, or a command line such as `bun dev`, `npm start` or `python -m http.server 3000`; not a "
                "shell command. Empty: the entry file.");
        files.add_to(root, limits.max_files, programs::too_many_files(limits.max_files))
            .means("The files of the program; none in a top-level `node_modules`, no `.npmrc`, no `bunfig.toml`.");
        add_variables(root, made.env);
        root.number("memory_limit_mb", memory_mb, 1, 1 << 20)
            .set_by("faas.maxMemoryMB", "faas.memoryMB")
            .means("Memory of all processes of the program together.");
        root.object("auto_scale",
                    [this](json_members& its) {
                        its.number("scale_down_after_minutes", idle_minutes, 0, most_minutes)
                            .set_by({}, "faas.scaleDownAfterMinutes")
                            .means("The program is stopped after this time without a request; 0: never.");
                        its.number("max_instances", max_instances, 1, most_instances)
                            .set_by("cluster.maxInstances")
                            .means(
                                "At most so many servers run it at the same time, each one program; 1 if it is left "
                                "out. A server that shares its deployments with no other one runs one in any case.");
                    })
            .means("When the program stops, and on how many servers it runs.");
    }
};

void declare_files(json_members& root, faas::update_request& made, file_members<faas::deployment_file>& files,
                   const request_limits& limits)
{
    files.add_to(root, limits.max_files, programs::too_many_files(limits.max_files))
        .means("Files to add or to replace, all or none; at least one.");
    root.boolean("restart_dev_server", made.restart)
        .means("`true` starts the new program beside the old one, which ends when the new one is reachable.");
}

void declare_revision(json_members& root, std::int64_t& revision, bool& restart)
{
    root.number("revision", revision, 1, std::int64_t{1} << 53)
        .required()
        .means("A former revision, whose files come back as a new one.");
    root.boolean("restart_dev_server", restart)
        .means("`true` starts the new program beside the old one, which ends when the new one is reachable.");
}

}  // namespace

result<faas::deploy_request> read_deploy_request(std::string_view body, const request_limits& limits)
{
    deploy_members members;
    auto& [made, memory_mb, idle_minutes, max_instances, files] = members;
    json_members root;
    members.declare(root, limits);
    if (auto wrong = read_body(body, root, program_words, limits.json)) return std::move(*wrong);
    if (auto wrong = files.decode()) return std::move(*wrong);
    if (made.runtime.empty()) return invalid_request("runtime is required: " + programs::known_names());
    if (auto wrong = check_variables(made.env)) return std::move(*wrong);
    if (made.code.empty() && made.files.empty()) return invalid_request("send code or files");
    if (memory_mb > 0) made.memory_mb = memory_mb;
    made.max_instances = max_instances;
    if (idle_minutes) made.idle = std::chrono::milliseconds{static_cast<std::int64_t>(*idle_minutes * 60'000)};
    return std::move(made);
}

std::vector<json_member_info> deploy_request_members(const request_limits& limits)
{
    deploy_members members;
    json_members root;
    members.declare(root, limits);
    return list_members(root);
}

result<faas::update_request> read_files_request(std::string_view body, const request_limits& limits)
{
    faas::update_request made;
    json_members root;
    file_members files{made.files};
    declare_files(root, made, files, limits);
    if (auto wrong = read_body(body, root, program_words, limits.json)) return std::move(*wrong);
    if (auto wrong = files.decode()) return std::move(*wrong);
    if (made.files.empty()) return invalid_request("files must hold at least one file");
    return made;
}

result<faas::update_request> read_revision_request(std::string_view body, const request_limits& limits)
{
    faas::update_request made;
    std::int64_t revision = 0;
    json_members root;
    declare_revision(root, revision, made.restart);
    if (auto wrong = read_body(body, root, program_words, limits.json)) return std::move(*wrong);
    made.back_to = static_cast<std::uint64_t>(revision);
    return made;
}

std::vector<json_member_info> revision_request_members()
{
    std::int64_t revision = 0;
    bool restart = false;
    json_members root;
    declare_revision(root, revision, restart);
    return list_members(root);
}

std::vector<json_member_info> files_request_members(const request_limits& limits)
{
    faas::update_request made;
    file_members files{made.files};
    json_members root;
    declare_files(root, made, files, limits);
    return list_members(root);
}

}  // namespace sandboxd::api
