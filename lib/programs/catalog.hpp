// Which of the table's runtimes work here: each has been asked for its version, in the jail.
#pragma once

#include "async/event.hpp"
#include "async/task_group.hpp"
#include "base/errc.hpp"
#include "jail/jail.hpp"
#include "programs/table.hpp"

#include <boost/asio/awaitable.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::programs {

class catalog {
public:
    // `tasks` and `wall` must outlive it.
    catalog(boost::asio::any_io_executor executor, async::task_group& tasks, jail::jail& wall,
            std::vector<runtime> there);

    // Every program has been asked for its version, in the jail; the first call has that done. What does not work
    // is not there any more.
    boost::asio::awaitable<void> probed();

    // Null when it is not there or does not work. Stays valid as long as the catalog.
    const runtime* find(std::string_view name) const;
    // Those that work, and those of which that is not known yet.
    std::vector<const runtime*> all() const;
    // What to answer when find() finds nothing: unprocessable, with the name and the cure.
    error missing(std::string_view name) const;

private:
    boost::asio::awaitable<void> probe();

    async::task_group& tasks_;
    jail::jail& wall_;
    std::vector<runtime> there_;
    async::event probed_;
    bool begun_{false};
};

}  // namespace sandboxd::programs
