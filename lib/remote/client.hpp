// Speaks HTTP/1.1 to one service that the operator runs (RFC 9112). It is trusted no further than its answers can be
// checked: every call has a deadline, heads and bodies have bounds, redirects are not followed, and an answer that is
// not valid HTTP ends its connection.
//
// Connections are kept and used again, one call at a time; there are at most `connections`, further calls wait for one.
// Names are resolved by a child process, when they are first needed and again after a minute or a failure; meanwhile
// the addresses that were found before are used. Of several addresses each has its share of the time to connect, and
// one that has failed is the last to be tried again.
#pragma once

#include "async/event.hpp"
#include "async/stop.hpp"
#include "async/task_group.hpp"
#include "base/errc.hpp"
#include "remote/connection.hpp"
#include "remote/service_url.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::proxy {
struct body_shape;
}

namespace sandboxd::remote {

struct client_settings {
    service_url where;
    std::string authorization;  // the value of the field, see authorization_of; empty: none
    std::size_t connections{8};
    std::size_t head_bytes{16 * 1024};  // of an answer
    std::chrono::seconds idle{20};      // how long a connection is kept that nobody uses
    // The addresses of a host; empty: process::look_up. Another one for tests.
    std::function<boost::asio::awaitable<result<std::vector<boost::asio::ip::address>>>(std::string host,
                                                                                        async::stop_source& stop)>
        resolve{};
};

struct call {
    std::string_view method{"GET"};  // a literal: GET, HEAD, PUT, POST
    std::string target;              // behind the URL's own path: "/cas/…"
    // By then there must be a connection; without `patience` all must be done by then.
    std::chrono::steady_clock::time_point until;
    // How long from there to the end of the answer's head, and again to the end of its body. A body may take a second
    // more for each `least_rate` bytes of it. So neither the wait for a connection nor a long body counts as slow.
    std::chrono::steady_clock::duration patience{0};
    std::uint64_t least_rate{0};  // 0: any size takes the same time
    // Lets calls that do not wait go first.
    bool can_wait{false};

    // The request's body: its size, and who reads it, at an offset, as disk::read_at does. Null: there is none.
    std::uint64_t body_bytes{0};
    std::function<std::int64_t(std::span<char>, std::uint64_t)> read;
    std::string media_type{"application/octet-stream"};

    // Gets the body of an answer with status 200, in pieces; false ends the call. Null: it is thrown away.
    std::function<bool(std::string_view)> take;
    std::uint64_t most_bytes{0};  // of that body
};

struct reply {
    unsigned status{0};
    std::optional<std::uint64_t> length;  // Content-Length, also of what a HEAD does not send
    // Retry-After, where it is a number of seconds (RFC 9110 10.2.3); a date is as none.
    std::optional<std::chrono::seconds> retry_after{};
};

class client {
public:
    // `tls`: needed if the URL begins with https.
    client(boost::asio::any_io_executor executor, async::task_group& tasks, client_settings how,
           std::shared_ptr<boost::asio::ssl::context> tls);
    client(const client&) = delete;
    client& operator=(const client&) = delete;

    // An answer of any status is a result. If a kept connection turns out to be closed before anything of the answer
    // has come, the call is made again on another. Errors: upstream_timeout (not done in time), unavailable (no
    // address, no connection), upstream_failed (closed too early, or no valid HTTP), payload_too_large (a body beyond
    // `most_bytes`), queue_full (no connection was free until then), io (`read` or `take` failed), draining.
    boost::asio::awaitable<result<reply>> make(call what);

    // Ends all calls, now and later, with `draining`.
    void close();

    std::size_t open_connections() const noexcept { return open_; }
    const service_url& where() const noexcept { return settings_.where; }

private:
    using clock = std::chrono::steady_clock;

    // Who waits for a connection.
    struct waiter {
        explicit waiter(const boost::asio::any_io_executor& executor, bool patient)
            : can_wait{patient}, served{executor}
        {
        }
        bool can_wait;
        async::event served;
        std::shared_ptr<connection> given{};
    };
    struct lease;
    struct place_in_line;

    std::shared_ptr<connection> make_connection();
    std::shared_ptr<connection> take_idle();
    boost::asio::awaitable<std::shared_ptr<connection>> borrow(clock::time_point until, bool can_wait);
    void give_back(std::shared_ptr<connection> used, bool is_reusable);
    boost::asio::awaitable<result<std::vector<boost::asio::ip::tcp::endpoint>>> endpoints(clock::time_point until);
    boost::asio::awaitable<void> look_up();
    boost::asio::awaitable<result<void>> connect(connection& on, clock::time_point until);
    // An address that does not do what it should, and the connections to it that nobody uses.
    void put_last(const boost::asio::ip::address& one);
    void drop_idle(const boost::asio::ip::address* to = nullptr);
    boost::asio::awaitable<result<reply>> exchange(std::shared_ptr<connection> on, const call& what, bool& is_silent,
                                                   bool& is_reusable);
    boost::asio::awaitable<result<void>> send_request(connection& on, const call& what) const;
    boost::asio::awaitable<result<bool>> read_body(connection& on, const proxy::body_shape& shape, const call& what,
                                                   bool is_wanted) const;
    error lost(const connection& on, const boost::system::error_code& ec) const;

    boost::asio::any_io_executor executor_;
    async::task_group& tasks_;
    client_settings settings_;
    std::shared_ptr<boost::asio::ssl::context> tls_;
    async::stop_source stop_;

    struct kept {
        std::shared_ptr<connection> one;
        clock::time_point since;
    };
    std::list<kept> idle_;  // the one that was used last comes first
    std::list<std::weak_ptr<connection>> lent_;
    std::list<waiter*> waiting_;
    std::size_t open_{0};  // lent and idle

    std::vector<boost::asio::ip::address> addresses_;
    std::optional<clock::time_point> looked_up_;
    std::string not_found_;                  // why there are no addresses
    std::shared_ptr<async::event> looking_;  // null: nobody asks now
};

}  // namespace sandboxd::remote
