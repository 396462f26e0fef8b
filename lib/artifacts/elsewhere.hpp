// Entries that other machines have made: where to ask for one that is not in the store of this machine, and whom to
// tell of one that was made here. lib/remote has the one that there is.
#pragma once

#include "base/client_key.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <string>

namespace sandboxd::artifacts {

class elsewhere {
public:
    enum class found {
        here,     // it has been brought, whole and as it was made: the store has it now
        nowhere,  // nobody has it, or what they have is not what was made
        unknown   // they do not answer, or not in time
    };

    // Brings an entry into the store of this machine. Returns in bounded time, whatever others do. `client`: whom the
    // fetch counts for. Does not throw.
    virtual boost::asio::awaitable<found> fetch(std::string id, client_key client) = 0;

    // This entry of the store was made here. Returns at once.
    virtual void share(const std::string& id) = 0;

    // Waits until others can have the entry that was given to share(), or will not get it, no longer than `patience`.
    // Returns whether that is so.
    virtual boost::asio::awaitable<bool> settled(std::string id, std::chrono::steady_clock::duration patience) = 0;

protected:
    ~elsewhere() = default;
};

}  // namespace sandboxd::artifacts
