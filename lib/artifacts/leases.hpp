// Which of several machines makes an entry that none of them has: the one that has its lease. lib/cluster has the one
// that there is.
#pragma once

#include "async/stop.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>

namespace sandboxd::artifacts {

class leases {
public:
    // This machine makes the entry, as long as this exists; without made() there is none to wait for.
    class lease {
    public:
        virtual ~lease() = default;

        // The entry is in the store of this machine, and elsewhere::share() was told. The lease ends by itself when it
        // is there for others. Returns at once.
        virtual void made() = 0;
    };

    struct turn {
        std::unique_ptr<lease> mine{};  // null: make the entry without one
        // Somebody has had the lease meanwhile: the entry may be elsewhere now.
        bool others_had_it{false};
    };

    // Takes the lease of an entry, or waits for those who have it. Returns in bounded time, whatever others do, and
    // soon after `stop`.
    virtual boost::asio::awaitable<turn> take(std::string id, async::stop_source& stop) = 0;

protected:
    ~leases() = default;
};

}  // namespace sandboxd::artifacts
