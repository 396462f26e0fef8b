// The runtimes of the table that work here: each was run for its version, in the jail.
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

    // Returns when every program was run for its version, in the jail; the first call starts that. Runtimes that do
    // not work are removed.
    boost::asio::awaitable<void> probed();

    // Null when it is not installed or does not work. Stays valid as long as the catalog.
    const runtime* find(std::string_view name) const;
    // The runtimes that work or have not been tested yet.
    std::vector<const runtime*> all() const;
    // The error for a name that find() does not find: unprocessable, with the name and the cure.
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
