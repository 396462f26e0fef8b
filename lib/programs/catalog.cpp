#include "programs/catalog.hpp"

#include "base/ascii.hpp"
#include "base/log.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace sandboxd::programs {

namespace asio = boost::asio;

namespace {

constexpr std::uint64_t mib = 1024 * 1024;
constexpr std::size_t longest_version = 64;

// The first line of a program's output, without the "v" of Node.js; empty when it is not a version.
std::string version_in(std::string_view printed)
{
    auto line = printed.substr(0, printed.find('\n'));
    if (line.starts_with('v')) line.remove_prefix(1);
    const bool plain = !line.empty() && line.size() <= longest_version && std::ranges::all_of(line, [](char c) {
        return is_alphanumeric(c) || c == '.' || c == '-' || c == '+';
    });
    return plain ? std::string{line} : std::string{};
}

jail::spec version_spec(const runtime& of)
{
    jail::spec spec;
    spec.argv = of.version_argv;
    spec.env = {{"PATH", "/usr/bin:/bin"}, {"HOME", "/tmp"}};
    spec.mounts = of.mounts;
    spec.limits = {.file_bytes = mib, .tmp_bytes = mib, .open_files = 256, .processes = 64};
    return spec;
}

}  // namespace

catalog::catalog(asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall, std::vector<runtime> there)
    : tasks_{tasks}, wall_{wall}, there_{std::move(there)}, probed_{executor}
{
}

asio::awaitable<void> catalog::probed()
{
    if (!std::exchange(begun_, true)) tasks_.spawn("find the runtimes' versions", probe());
    co_await probed_.wait();
}

asio::awaitable<void> catalog::probe()
{
    // Two runtimes can be one program.
    std::map<std::string, const runtime*> asked;
    for (auto& one : there_) {
        auto spec = version_spec(one);
        if (const auto [known, fresh] = asked.emplace(spec.argv.front(), &one); !fresh) {
            one.version = known->second->version;
            one.fault = known->second->fault;
            continue;
        }
        const process::child_limits limits{.wall = std::chrono::seconds{30}, .output_bytes = 4096};
        async::stop_source stop;
        const auto ran = co_await wall_.run(std::move(spec), limits, stop);
        if (ran) one.version = version_in(ran->out);
        // A timeout on a busy machine says nothing about the program.
        if (!one.version.empty() || (ran && stop.requested())) continue;
        one.fault = !ran ? ran.error().message : "it printed no version: " + ran->err.substr(0, 200);
        log::warning("a runtime does not work here", {{"runtime", one.name}, {"cause", one.fault}});
    }
    probed_.set();
}

const runtime* catalog::find(std::string_view name) const
{
    const auto found =
        std::ranges::find_if(there_, [name](const runtime& one) { return one.name == name && one.fault.empty(); });
    return found == there_.end() ? nullptr : &*found;
}

std::vector<const runtime*> catalog::all() const
{
    std::vector<const runtime*> working;
    for (const auto& one : there_)
        if (find(one.name) == &one) working.push_back(&one);
    return working;
}

error catalog::missing(std::string_view name) const
{
    std::string there;
    for (const auto* one : all()) there += (there.empty() ? "" : ", ") + one->name;
    if (there.empty()) there = "none";
    const auto cure = cure_for(name);
    constexpr std::size_t most_shown = 64;
    const std::string shown{utf8_prefix(name, most_shown)};
    std::string message = "the runtime '" + shown + "' is not installed here";
    // Each variant has its own fault; the first one is the preferred variant.
    const auto broken = std::ranges::find(there_, name, &runtime::name);
    if (broken != there_.end()) message = "the runtime '" + shown + "' does not work here: " + broken->fault;
    if (!cure.empty()) message += " (" + cure + ")";
    return {errc::unprocessable, message + "; there is " + there};
}

}  // namespace sandboxd::programs
