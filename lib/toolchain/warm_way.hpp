// A jail in which emcc finds its tools started. For everything else it is the jail that it is made of.
//
// The job's program is `sandboxd-init --call`, which waits, when the jail stands, until the tools have entered it, and
// has Python run the job. All else about a job stays as it is: how it is limited, ended and counted is the jail's.
#pragma once

#include "async/task_group.hpp"
#include "base/metrics.hpp"
#include "jail/jail.hpp"
#include "toolchain/answers.hpp"
#include "toolchain/kit.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sandboxd::toolchain {

// A class that is a jail has the name `jail` for itself.
namespace walls = sandboxd::jail;

struct warm_settings {
    bool enabled{true};  // compile.warm
    std::string init;    // sandboxd-init
    kit_settings kit;
    answers_settings answers;
};

// What Python a driver (…/emcc, …/em++) would start, and with which files. Nothing where that is not known, so that the
// driver is to run as it is.
std::optional<kit_key> key_of(const walls::spec& what);

class warm_way : public walls::jail {
public:
    warm_way(boost::asio::any_io_executor executor, async::task_group& tasks, walls::jail& wall, warm_settings how,
             metrics::registry& metrics);

    walls::kind which() const noexcept override { return wall_.which(); }
    std::vector<std::string> walls() const override { return wall_.walls(); }
    std::vector<std::string> warnings() const override { return wall_.warnings(); }
    std::optional<process::identity> owner() const noexcept override { return wall_.owner(); }
    std::string keeps_descriptors() const override { return wall_.keeps_descriptors(); }
    std::optional<walls::uid_counts> uids() const noexcept override { return wall_.uids(); }

    // A job that fails while a tool has died runs once more, the plain way.
    boost::asio::awaitable<result<process::outcome>> run(walls::spec what, process::child_limits limits,
                                                         async::stop_source& stop,
                                                         process::output_taker* taker) override;

    // Whether jobs find started tools, as long as nothing is in the way: the configuration and the jail allow it.
    bool serves() const noexcept { return settings_.enabled && wall_.which() == walls::kind::bubblewrap; }

    // Ends the tools, for good.
    void close()
    {
        tools_.close();
        answers_.close();
    }

private:
    struct job;

    boost::asio::awaitable<result<process::outcome>> run_beside(walls::spec what, process::child_limits limits,
                                                                async::stop_source& stop, process::output_taker* taker);
    boost::asio::awaitable<void> attend(std::shared_ptr<job> its);
    boost::asio::awaitable<void> answer(std::shared_ptr<job> its);

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    walls::jail& wall_;
    warm_settings settings_;
    kit tools_;
    answers answers_;
    std::uint64_t known_generation_{0};  // of the tools for which answers are known
    metrics::counter& warm_;
    metrics::counter& plain_;
};

}  // namespace sandboxd::toolchain
