// Waits until a descriptor can be read.
//
// Asio can end a descriptor's wait although nothing happened: if another descriptor is closed while an event for it is
// still queued in the same round of epoll, the next owner of its reactor state gets that event. A read of Asio's then
// finds nothing and waits on; a bare `async_wait` does not, and who trusts it takes "not yet" for "never". So
// everything that waits to read by itself waits here.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>

#include <poll.h>

namespace sandboxd::async {

// Returns once `at`, a descriptor, a socket or an acceptor of Asio's, has something to read, has come to its end or has
// failed: a read of it would not wait. Error: that of the wait, `operation_aborted` when it is cancelled or closed.
template <class Descriptor>
boost::asio::awaitable<boost::system::error_code> wait_readable(Descriptor& at)
{
    for (;;) {
        const auto [failed] =
            co_await at.async_wait(Descriptor::wait_read, boost::asio::as_tuple(boost::asio::use_awaitable));
        if (failed) co_return failed;
        pollfd state{at.native_handle(), POLLIN, 0};
        if (::poll(&state, 1, 0) != 0) co_return failed;
    }
}

}  // namespace sandboxd::async
