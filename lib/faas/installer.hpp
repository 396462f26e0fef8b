// Installs packages from the registry into folders that all deployments share, read only: one folder for each set of
// dependencies, made once by one jailed run of a package manager, however many deployments need it.
//
//     <root>/<key>         the node_modules of that set
//     <root>/.work/        the directories of running installs
//
// An install reaches the registry and nothing else: its jail has a network of its own, and the one way out is a proxy
// of ours (registry_proxy.hpp), whatever addresses the packages name for what they depend on. What it wrote about where
// things came from is read once more before the set is kept. It runs no code of the packages (install scripts are off),
// gets no file of the client's but the names and ranges of its dependencies, and ends at limits of time and size.
#pragma once

#include "admission/gate.hpp"
#include "admission/shared_jobs.hpp"
#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/client_key.hpp"
#include "base/metrics.hpp"
#include "base/unique_fd.hpp"
#include "disk/job_directory.hpp"
#include "faas/dependencies.hpp"
#include "faas/install_client.hpp"
#include "faas/registry_proxy.hpp"
#include "jail/jail.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace sandboxd::faas {

struct installer_settings {
    std::filesystem::path root;
    bool allow{true};
    std::optional<install_client> client;  // empty: nothing can be installed
    std::string registry;                  // empty: https://registry.npmjs.org
    std::vector<std::string> hosts;        // other origins that packages may come from, "https://host"
    std::string init;                      // sandboxd-init, absolute
    std::string ca_file;                   // certificates to trust in addition to the system's; empty: none
    std::string proxy;                     // the proxy to the registry; empty: none
    std::chrono::seconds wall{120};
    std::uint64_t max_bytes{512u << 20};        // of one set
    std::uint64_t max_files{100'000};           // of one set; twice as many while it is installed
    std::uint64_t max_total_bytes{4ull << 30};  // of all sets: unused ones are removed, then installs are refused
    // Of those that the running programs of one client need: then that client is refused.
    std::uint64_t max_client_bytes{2ull << 30};
    std::size_t max_running{2};               // installs at the same time; others wait
    std::size_t max_queued{64};               // then queue_full
    std::chrono::seconds queue_timeout{600};  // then queue_timeout
    jail::job_limits limits;
};

// The first source in npm's or Bun's lock file that is not in `allowed`; empty: none. In turns: packages fill a lock
// file with their own texts.
boost::asio::awaitable<std::string> foreign_source(std::string lock, std::vector<origin> allowed);

// Who needs which sets, by their keys.
struct package_needs {
    // Of programs that run or are about to, and for whom. Clients that are not known are client_key{}.
    std::map<std::string, std::set<client_key>, std::less<>> running;
    // Of deployments, whether they run or not, and for whom they are there.
    std::map<std::string, std::set<client_key>, std::less<>> deployed;
};

// What the installer asks of whom it works for.
class package_user {
public:
    virtual package_needs needs() const = 0;
    // This set, which nothing that runs needs, is about to go.
    virtual void gives_up(const std::string& key) = 0;

protected:
    ~package_user() = default;
};

class installer {
public:
    // `user` must outlive it.
    installer(boost::asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall, installer_settings how,
              metrics::registry& metrics, package_user& user);

    // Makes the directories and lists the existing sets. Errors: io.
    result<void> open();

    // In the background, removes what earlier servers left, measures the existing sets, and makes room if they are
    // too large.
    void start();
    void close() noexcept { closing_ = true; }

    // The key of a set; empty for no dependencies.
    std::string key_of(const text_map& dependencies) const;

    // Whether it can be had without an install.
    bool has(const std::string& key) const { return sets_.contains(key); }

    // Whether what this client's programs need is within its share.
    bool is_within_share(const client_key& client) const { return is_within_share(user_.needs(), client, 0); }

    // The folder with these packages, installed now if necessary; the install waits and runs on this client's account.
    // The user's needs have the set already, as about to run, for this client; client_key{} has no bound.
    // Errors: unprocessable when installing is not allowed or not possible; install_failed with the end of the package
    // manager's output, or the limit that it exceeded; queue_full; queue_timeout; the cause of `stop`; io.
    boost::asio::awaitable<result<std::filesystem::path>> ensure(text_map dependencies, client_key client,
                                                                 async::stop_source& stop);

private:
    using outcome = result<std::filesystem::path>;

    boost::asio::awaitable<outcome> install(text_map dependencies, std::string key,
                                            std::shared_ptr<admission::party> callers, async::stop_source& stop);
    boost::asio::awaitable<outcome> install_in(const text_map& dependencies, const std::string& key,
                                               disk::job_directory& directory, async::stop_source& stop);
    boost::asio::awaitable<void> watch_disk(disk::job_directory& directory, std::shared_ptr<pid_t> leader,
                                            async::stop_source& stop, async::event& over);
    boost::asio::awaitable<void> measure();
    // Whether what the client's programs need, and so many more bytes, is within its share.
    bool is_within_share(const package_needs& needs, const client_key& client, std::uint64_t more) const;
    // Whether it is for one of those who wait for this set, which is not there yet.
    bool is_within_a_share(const std::string& key, std::uint64_t bytes) const;
    error exceeds_share();
    bool may_go(const std::string& key, const package_needs& needs) const;
    // The set that is removed next: of no deployment, else of one that does not run and whose client has the most of
    // such; among equals the least recently used. Nullopt: all are needed.
    std::optional<std::string> next_to_go() const;
    // Removes sets if necessary, and none where it would not help; returns whether there is room for so many more
    // bytes.
    boost::asio::awaitable<bool> make_room(std::uint64_t bytes);
    jail::spec install_spec(const disk::job_directory& directory, int control) const;
    result<std::vector<origin>> allowed_origins() const;

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    jail::jail& wall_;
    installer_settings settings_;
    package_user& user_;
    admission::gate gate_;
    admission::shared_jobs<outcome> jobs_;
    unique_fd root_;
    // An installed set.
    struct package_set {
        std::uint64_t bytes{0};  // 0: not measured yet
        std::chrono::system_clock::time_point used{};
    };
    std::uint64_t total_bytes() const;
    boost::asio::awaitable<void> remove_set(std::string name);

    std::map<std::string, package_set> sets_;
    std::vector<std::string> half_removed_;  // by an earlier server
    bool closing_{false};
    metrics::counter& installs_;
    metrics::counter& failures_;
    metrics::counter& reused_;
    metrics::counter& refusals_;
    metrics::counter& removed_;
    metrics::counter& no_room_;
};

}  // namespace sandboxd::faas
