// The sandboxes of all servers that share them: what is created on one can be executed on any. lib/cluster has the one
// that there is.
//
// A server keeps a copy of each sandbox that it has executed. Whether the sandbox is still there, the index says: it is
// asked for each execution. What needs the index fails with `index_unavailable` while it does not answer.
#pragma once

#include "base/errc.hpp"
#include "sandboxes/description.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sandboxd::sandboxes {

class fleet {
public:
    // Keeps what was created here for all servers. Errors: queue_full (all of them have as many as they may),
    // index_unavailable; then it is not there.
    virtual boost::asio::awaitable<result<void>> keep(description what) = 0;

    // What the index says, without `running`. Errors: not_found, index_unavailable.
    virtual boost::asio::awaitable<result<sandbox_info>> look(std::string id) = 0;

    // Of what others have created. Errors: not_found, index_unavailable (also if its files cannot be had).
    virtual boost::asio::awaitable<result<description>> fetch(std::string id) = 0;

    // One more execution begins, which takes at most that long: nobody removes it for being unused until then, and for
    // the time that is usual after that. False: it is not there any more. Errors: index_unavailable.
    virtual boost::asio::awaitable<result<bool>> use(std::string id, std::chrono::milliseconds longest) = 0;

    // From now on it is not there for anybody. False: it was not. Errors: index_unavailable.
    virtual boost::asio::awaitable<result<bool>> forget(std::string id) = 0;

    // Those of one owner, or all. Errors: index_unavailable.
    virtual boost::asio::awaitable<result<std::vector<sandbox_info>>> list(std::optional<std::string> owner) = 0;

    // Of the files of this owner's. Errors: index_unavailable.
    virtual boost::asio::awaitable<result<std::uint64_t>> bytes_of(std::string owner) = 0;

protected:
    ~fleet() = default;
};

}  // namespace sandboxd::sandboxes
