#include "remote/client.hpp"

#include "base/ascii.hpp"
#include "process/host_lookup.hpp"
#include "proxy/relay.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <exception>
#include <utility>

namespace sandboxd::remote {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr auto address_age = std::chrono::minutes{1};
// After a failed connection, and after a failed look-up.
constexpr auto shortest_address_age = std::chrono::seconds{1};
// No address has less than this part of what is left of the time, as long as there are others.
constexpr std::size_t least_share = 4;
// The resolver has times of its own (resolv.conf(5)); this ends one that hangs. Answers wait for store.remoteTimeoutMs.
constexpr auto lookup_patience = std::chrono::seconds{10};
// What of an answer is thrown away, so that its connection can be used again.
constexpr std::uint64_t thrown_away_bytes = 64 * 1024;
constexpr std::size_t send_piece = 64 * 1024;
constexpr std::string_view end_of_head = "\r\n\r\n";

error too_large() { return {errc::payload_too_large, "the answer is larger than it may be"}; }

// What a body may take for its size.
std::chrono::milliseconds time_of(const proxy::body_shape& shape, const call& what, bool is_wanted)
{
    if (what.least_rate == 0) return {};
    auto most = is_wanted && what.take ? what.most_bytes : thrown_away_bytes;
    if (shape.kind == proxy::body_kind::length) most = std::min(most, shape.length);
    return std::chrono::milliseconds{most * 1000 / what.least_rate};
}

std::optional<std::chrono::seconds> retry_after(const proxy::answer_head& head)
{
    constexpr std::size_t most_digits = 9;
    for (const auto& [name, value] : head.fields) {
        if (!same_word(name, "Retry-After")) continue;
        std::int64_t seconds = 0;
        const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), seconds);
        const bool is_number = failed == std::errc{} && end == value.data() + value.size() && seconds >= 0;
        if (is_number && value.size() <= most_digits) return std::chrono::seconds{seconds};
        return std::nullopt;
    }
    return std::nullopt;
}

// Gives each piece of a body to who wants it, and counts. Says whether to go on.
class taker {
public:
    taker(const call& of, bool is_wanted) : of_{of}, is_wanted_{is_wanted && of.take} {}

    std::uint64_t most() const { return is_wanted_ ? of_.most_bytes : thrown_away_bytes; }

    result<void> take(std::string_view piece)
    {
        if (piece.size() > most() - taken_) return too_large();
        taken_ += piece.size();
        if (is_wanted_ && !of_.take(piece)) return error{errc::io, "the answer could not be stored"};
        return {};
    }

private:
    const call& of_;
    bool is_wanted_;
    std::uint64_t taken_{0};
};

}  // namespace

// A connection on loan.
struct client::lease {
    lease(client& all, std::shared_ptr<connection> one) : of{all}, lent{std::move(one)}
    {
        of.lent_.push_front(lent);
        place = of.lent_.begin();
    }
    ~lease()
    {
        of.lent_.erase(place);
        of.give_back(std::move(lent), is_reusable);
    }
    lease(const lease&) = delete;
    lease& operator=(const lease&) = delete;

    client& of;
    std::shared_ptr<connection> lent;
    std::list<std::weak_ptr<connection>>::iterator place{};
    bool is_reusable{false};
};

// A place among those who wait for a connection. Whoever leaves it in any way leaves nothing behind: neither a pointer
// to himself, nor a connection that he was given and has not taken.
struct client::place_in_line {
    place_in_line(client& all, waiter& who) : of{all}, mine{who}
    {
        const auto before =
            std::ranges::find_if(of.waiting_, [&who](const waiter* other) { return other->can_wait && !who.can_wait; });
        of.waiting_.insert(before, &mine);
    }
    ~place_in_line()
    {
        std::erase(of.waiting_, &mine);
        if (mine.given) of.give_back(std::move(mine.given), true);
    }
    place_in_line(const place_in_line&) = delete;
    place_in_line& operator=(const place_in_line&) = delete;

    client& of;
    waiter& mine;
};

client::client(asio::any_io_executor executor, async::task_group& tasks, client_settings how,
               std::shared_ptr<asio::ssl::context> tls)
    : executor_{std::move(executor)}, tasks_{tasks}, settings_{std::move(how)}, tls_{std::move(tls)}
{
}

void client::close()
{
    if (!stop_.request(errc::draining)) return;
    drop_idle();
    for (const auto& one : lent_)
        if (const auto its = one.lock()) its->close();
    for (auto* const one : waiting_) one->served.set();
}

std::shared_ptr<connection> client::make_connection()
{
    return std::make_shared<connection>(executor_, settings_.where.tls ? tls_ : nullptr);
}

std::shared_ptr<connection> client::take_idle()
{
    while (!idle_.empty()) {
        const auto next = std::move(idle_.front());
        idle_.pop_front();
        if (clock::now() - next.since <= settings_.idle && !next.one->is_stale()) return next.one;
        --open_;
    }
    return nullptr;
}

// Null: none was free until then, or the client is closed.
asio::awaitable<std::shared_ptr<connection>> client::borrow(clock::time_point until, bool can_wait)
{
    if (stop_.requested()) co_return nullptr;
    if (auto kept_one = take_idle()) co_return kept_one;
    if (open_ < settings_.connections) {
        auto made = make_connection();
        ++open_;
        co_return made;
    }
    waiter mine{executor_, can_wait};
    const place_in_line waits{*this, mine};
    co_await mine.served.wait_for(until - clock::now());
    co_return std::move(mine.given);
}

void client::give_back(std::shared_ptr<connection> used, bool is_reusable)
{
    used->no_end();
    is_reusable = is_reusable && !stop_.requested() && used->is_open();
    if (!is_reusable) used->close();
    if (!waiting_.empty() && !stop_.requested()) {
        auto* const next = waiting_.front();
        waiting_.pop_front();
        next->given = is_reusable ? std::move(used) : make_connection();
        next->served.set();
        return;
    }
    if (is_reusable)
        idle_.push_front({std::move(used), clock::now()});
    else
        --open_;
}

asio::awaitable<void> client::look_up()
{
    // However this ends: nobody waits for it any longer, and a failure is tried again soon.
    struct at_end {
        client& of;
        bool failed{true};
        ~at_end()
        {
            of.looked_up_ = clock::now();
            if (failed) *of.looked_up_ -= address_age - shortest_address_age;
            if (const auto mine = std::exchange(of.looking_, nullptr)) mine->set();
        }
    } told{*this};
    const auto& host = settings_.where.host;
    try {
        auto found = settings_.resolve ? co_await settings_.resolve(host, stop_)
                                       : co_await process::look_up(host, lookup_patience, stop_);
        told.failed = !found;
        if (found)
            addresses_ = std::move(*found);
        else
            not_found_ = found.error().message;
    } catch (const std::exception& thrown) {
        not_found_ = std::string{"the host's name cannot be looked up: "} + thrown.what();
    }
}

asio::awaitable<result<std::vector<asio::ip::tcp::endpoint>>> client::endpoints(clock::time_point until)
{
    const bool is_old = !looked_up_ || clock::now() - *looked_up_ > address_age;
    if (is_old && !looking_ && !stop_.requested()) {
        // It may end before `spawn` returns, or never begin.
        looking_ = std::make_shared<async::event>(executor_);
        try {
            tasks_.spawn("look up a service's addresses", look_up());
        } catch (...) {
            looking_.reset();
            throw;
        }
    }
    if (addresses_.empty() && looking_) {
        const auto others = looking_;
        co_await others->wait_for(until - clock::now());
    }
    if (addresses_.empty()) {
        if (looking_) co_return error{errc::upstream_timeout, "the host's name was not resolved in time"};
        co_return error{errc::unavailable, not_found_};
    }
    std::vector<asio::ip::tcp::endpoint> made;
    for (const auto& one : addresses_) made.emplace_back(one, settings_.where.port);
    co_return made;
}

void client::drop_idle(const asio::ip::address* to)
{
    open_ -= std::erase_if(idle_, [to](const kept& one) { return !to || one.one->peer().address() == *to; });
}

void client::put_last(const asio::ip::address& one)
{
    if (const auto place = std::ranges::find(addresses_, one); place != addresses_.end())
        std::rotate(place, place + 1, addresses_.end());
    if (looked_up_) looked_up_ = std::min(*looked_up_, clock::now() - address_age + shortest_address_age);
    drop_idle(&one);
}

// One address after the other: one that is dead must not take the time of all.
asio::awaitable<result<void>> client::connect(connection& on, clock::time_point until)
{
    const auto to = co_await endpoints(until);
    if (!to) co_return to.error();
    error why{errc::upstream_timeout, "no connection in time"};
    for (std::size_t i = 0; i < to->size(); ++i) {
        if (stop_.requested()) co_return make_error(errc::draining);
        const auto now = clock::now();
        if (now >= until) break;
        const auto left = std::min(to->size() - i, least_share);
        on.end_at(now + (until - now) / static_cast<int>(left));
        auto opened = co_await on.open((*to)[i], settings_.where.host);
        if (stop_.requested()) co_return make_error(errc::draining);
        if (opened && !on.timed_out()) {
            on.end_at(until);
            co_return result<void>{};
        }
        why = opened || on.timed_out() ? error{errc::upstream_timeout, "no connection in time"} : opened.error();
        put_last((*to)[i].address());
    }
    co_return why;
}

error client::lost(const connection& on, const error_code& ec) const
{
    if (stop_.requested()) return make_error(errc::draining);
    if (on.timed_out()) return {errc::upstream_timeout, "no answer in time"};
    return {errc::upstream_failed, "the connection ended: " + ec.message()};
}

asio::awaitable<result<reply>> client::make(call what)
{
    for (bool again = false;; again = true) {
        auto borrowed = co_await borrow(what.until, what.can_wait);
        if (!borrowed && stop_.requested()) co_return make_error(errc::draining);
        if (!borrowed) co_return error{errc::queue_full, "all connections are in use"};
        lease loan{*this, std::move(borrowed)};
        if (stop_.requested()) co_return make_error(errc::draining);
        auto& on = *loan.lent;
        const auto by = what.patience.count() > 0 ? clock::now() + what.patience : what.until;
        on.end_at(by);
        const bool is_kept = on.is_open();
        if (!is_kept) {
            if (const auto opened = co_await connect(on, by); !opened) co_return opened.error();
        }
        bool is_silent = true;
        auto done = co_await exchange(loan.lent, what, is_silent, loan.is_reusable);
        if (!done && done.error().code == errc::upstream_timeout) put_last(on.peer().address());
        const bool was_gone = !done && done.error().code == errc::upstream_failed && is_kept && is_silent;
        if (!was_gone || again) co_return done;
        // The others are as old.
        drop_idle();
    }
}

asio::awaitable<result<void>> client::send_request(connection& on, const call& what) const
{
    std::string bytes{what.method};
    bytes += " " + settings_.where.path + what.target + " HTTP/1.1\r\nHost: " + settings_.where.authority() +
             "\r\nUser-Agent: sandboxd\r\nAccept-Encoding: identity\r\n";
    if (!settings_.authorization.empty()) bytes += "Authorization: " + settings_.authorization + "\r\n";
    if (what.read) {
        bytes += "Content-Type: " + what.media_type + "\r\nContent-Length: " + std::to_string(what.body_bytes) + "\r\n";
    }
    bytes += "\r\n";
    std::uint64_t sent = 0;
    do {
        if (what.read && sent < what.body_bytes) {
            const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(send_piece, what.body_bytes - sent));
            const auto before = bytes.size();
            bytes.resize(before + size);
            if (what.read(std::span{bytes}.subspan(before), sent) != static_cast<std::int64_t>(size))
                co_return error{errc::io, "what is to be sent cannot be read"};
            sent += size;
        }
        const auto ec = co_await on.send(bytes);
        if (ec) co_return lost(on, ec);
        bytes.clear();
    } while (what.read && sent < what.body_bytes);
    co_return result<void>{};
}

asio::awaitable<result<reply>> client::exchange(std::shared_ptr<connection> on, const call& what, bool& is_silent,
                                                bool& is_reusable)
{
    const auto sent = co_await send_request(*on, what);
    // A service may answer before it has read a body, which it does not want, and close.
    if (!sent && (!what.read || sent.error().code != errc::upstream_failed)) co_return sent.error();

    auto& bytes = on->received;
    std::size_t end = std::string::npos;
    std::size_t looked = 0;
    while ((end = bytes.find(end_of_head, looked)) == std::string::npos && bytes.size() <= settings_.head_bytes) {
        looked = bytes.size() - std::min(bytes.size(), end_of_head.size() - 1);
        const auto ec = co_await on->receive();
        if (!bytes.empty()) is_silent = false;
        if (ec) co_return sent ? result<reply>{lost(*on, ec)} : result<reply>{sent.error()};
    }
    if (end == std::string::npos || end + end_of_head.size() > settings_.head_bytes)
        co_return error{errc::upstream_failed, "the head of the answer is too long"};

    const auto head_text = bytes.substr(0, end + end_of_head.size());
    bytes.erase(0, head_text.size());
    proxy::answer_head head;
    const bool to_head = what.method == "HEAD";
    if (const auto read = proxy::read_answer_head(head_text, to_head, head); !read)
        co_return error{errc::upstream_failed, "the answer is no valid HTTP: " + read.error().message};
    if (head.status < 200) co_return error{errc::upstream_failed, "the answer has a status that was not asked for"};

    reply made{.status = head.status, .length = {}, .retry_after = retry_after(head)};
    if (head.body.kind == proxy::body_kind::length) made.length = head.body.length;
    bool is_whole = true;
    if (!to_head && head.body.kind != proxy::body_kind::none) {
        if (what.patience.count() > 0 && !on->timed_out())
            on->end_at(clock::now() + what.patience + time_of(head.body, what, head.status == 200));
        const auto body = co_await read_body(*on, head.body, what, head.status == 200);
        if (!body) co_return body.error();
        is_whole = *body;
    }
    // Bytes behind the answer belong to nobody.
    is_reusable = sent && is_whole && head.keep_alive && bytes.empty();
    co_return made;
}

// False: the rest of a body that nobody wants is on the connection still.
asio::awaitable<result<bool>> client::read_body(connection& on, const proxy::body_shape& shape, const call& what,
                                                bool is_wanted) const
{
    taker to{what, is_wanted};
    const bool is_counted = shape.kind == proxy::body_kind::length;
    const bool is_chunked = shape.kind == proxy::body_kind::chunked;
    const auto refused = [&](error why) {
        return is_wanted || why.code != errc::payload_too_large ? result<bool>{std::move(why)} : result<bool>{false};
    };
    if (is_counted && shape.length > to.most()) co_return refused(too_large());
    std::uint64_t left = shape.length;
    proxy::chunk_decoder chunks;
    auto& bytes = on.received;
    for (;;) {
        if (is_chunked) {
            const auto step = chunks.decode(bytes);
            if (!step) co_return error{errc::upstream_failed, "the answer's chunks are not valid"};
            if (const auto taken = to.take(std::string_view{bytes}.substr(0, step->data)); !taken)
                co_return refused(taken.error());
            bytes.erase(0, step->used);
            if (chunks.done()) co_return true;
        } else {
            const auto size =
                static_cast<std::size_t>(is_counted ? std::min<std::uint64_t>(left, bytes.size()) : bytes.size());
            if (const auto taken = to.take(std::string_view{bytes}.substr(0, size)); !taken)
                co_return refused(taken.error());
            bytes.erase(0, size);
            left -= is_counted ? size : 0;
            if (is_counted && left == 0) co_return true;
        }
        const auto ec = co_await on.receive();
        const bool is_end = ec == asio::error::eof && !is_counted && !is_chunked && bytes.empty();
        if (is_end) co_return true;
        if (ec && bytes.empty()) co_return lost(on, ec);
    }
}

}  // namespace sandboxd::remote
