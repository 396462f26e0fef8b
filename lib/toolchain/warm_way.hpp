// A jail in which emcc finds its tools started. For everything else it is the jail that it is made of.
//
// The job's program is `sandboxd-init --call`, which waits, when the jail stands, until the tools have entered it and
// there is a job, and has Python run that. So a jail may be built before its job comes. All else about a job stays as
// it is: how it is limited, ended and counted is the jail's.
#pragma once

#include "async/task_group.hpp"
#include "base/metrics.hpp"
#include "jail/jail.hpp"
#include "toolchain/answers.hpp"
#include "toolchain/kit.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
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

    bool prepares() const noexcept override;
    void prepare(walls::spec what, process::child_limits limits, std::function<void()> stands) override;

    // A job that fails while a tool has died runs once more, the plain way, without what it made.
    boost::asio::awaitable<result<process::outcome>> run(walls::spec what, process::child_limits limits,
                                                         async::stop_source& stop,
                                                         process::output_taker* taker) override;

    // Whether jobs find started tools, as long as nothing is in the way: the configuration and the jail allow it.
    bool serves() const noexcept { return settings_.enabled && walls::lets_enter(wall_.which()); }

    // Ends the tools, for good.
    void close();

private:
    struct job;

    boost::asio::awaitable<void> build_ahead(walls::spec what, process::child_limits limits,
                                             std::function<void()> stands);
    // A jail for such a job begins to be built; null: it cannot be.
    std::shared_ptr<job> build(walls::spec what, process::child_limits limits, const kit_key& key);
    // One that was built ahead for it; null: there is none.
    std::shared_ptr<job> take(const walls::spec& what, const process::child_limits& limits);
    // Whether the tools in there are others by now, or a job could change more of their programs than when they
    // entered.
    bool is_spoilt(const job& one) const;
    // Ends those that no job is to have.
    void drop_stale();

    // Nothing where the jail was spoilt before the job began: it is gone, and the job is to begin the plain way.
    boost::asio::awaitable<std::optional<result<process::outcome>>> run_warm(std::shared_ptr<job> its, walls::spec what,
                                                                             process::child_limits limits,
                                                                             async::stop_source& stop);
    boost::asio::awaitable<void> live(std::shared_ptr<job> its, walls::spec what, process::child_limits limits);
    boost::asio::awaitable<void> attend(std::shared_ptr<job> its);
    boost::asio::awaitable<void> answer(std::shared_ptr<job> its);

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    walls::jail& wall_;
    warm_settings settings_;
    kit tools_;
    answers answers_;
    std::uint64_t known_generation_{0};  // of the tools for which answers are known
    bool closed_{false};
    bool complained_{false};                     // of a driver that is not known
    std::vector<std::shared_ptr<job>> waiting_;  // built ahead; the oldest first
    metrics::counter& warm_;
    metrics::counter& plain_;
};

}  // namespace sandboxd::toolchain
