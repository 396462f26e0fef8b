// One request on its way to a program and its answer on the way back, in the order in which they happen: a connection
// is taken or made, head and body go out, head and body come in; tunnels last. What is said is relay.cpp's.
#include "proxy/forwarder.hpp"

#include "base/ascii.hpp"
#include "base/log.hpp"
#include "http/head_text.hpp"
#include "http/header_check.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <optional>

namespace sandboxd::proxy {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

constexpr auto keep_check_interval = milliseconds{250};
constexpr std::size_t usual_buffer = 16 * 1024;
constexpr std::size_t largest_buffer = 64 * 1024;
// A body that has already arrived and is at most this large is sent together with its head.
constexpr std::size_t small_body = 64 * 1024;
constexpr std::size_t pump_bytes = 32 * 1024;
// Interim answers: 103 and 102 come at most a few times.
constexpr unsigned most_interim = 8;
// How long one side of a tunnel may be silent after the other has ended; with proxy.tunnelIdleTimeoutSecs the shorter.
constexpr auto half_closed_patience = milliseconds{30'000};
// How long the client may take to read the last bytes of a program that has ended.
constexpr auto last_words_patience = milliseconds{1'000};
// Bytes that a slow client has not read wait in the kernel, here and in the program's own socket.
constexpr int upstream_receive_bytes = 256 * 1024;
constexpr auto hint_margin = std::chrono::seconds{1};

void bound_buffers(http::stream_socket& socket, std::size_t bytes)
{
    error_code ignored;  // of a socket that is gone
    socket.set_option(asio::socket_base::send_buffer_size{static_cast<int>(bytes)}, ignored);
    socket.set_option(asio::socket_base::receive_buffer_size{static_cast<int>(bytes)}, ignored);
    // Bytes in transit make the sender's buffer grow. (A Unix socket has no such option.)
    const int window = static_cast<int>(bytes);
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_WINDOW_CLAMP, &window, sizeof window);
}

bool says_moved(const answer_head& head)
{
    return std::ranges::any_of(head.fields, [](const auto& one) { return same_word(one.first, moved_field); });
}

// Aborts a connection. Otherwise unread bytes would wait in the kernel for minutes, until it gives up as well.
void give_up(http::stream_socket& socket)
{
    error_code ignored;  // the peer may be gone
    int unsent = 0;
    if (::ioctl(socket.native_handle(), SIOCOUTQ, &unsent) == 0 && unsent > 0)
        socket.set_option(asio::socket_base::linger{true, 0}, ignored);
    socket.close(ignored);  // Asio's destructor would reset the option
}

}  // namespace

// A connection to a program, with the bytes read but not used yet.
struct forwarder::upstream {
    explicit upstream(http::stream_socket connected) : socket{std::move(connected)} {}

    std::string_view buffered() const noexcept { return {buffer.data() + begin, end - begin}; }
    void consume(std::size_t bytes) noexcept
    {
        begin += bytes;
        if (begin == end) begin = end = 0;
    }
    // Whether nothing unexpected has arrived, not even the end of the stream.
    bool is_quiet()
    {
        char one = 0;
        return ::recv(socket.native_handle(), &one, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
               (errno == EAGAIN || errno == EINTR);
    }

    // An idle connection keeps only a small buffer.
    void shrink()
    {
        if (buffer.size() > usual_buffer) std::string(usual_buffer, '\0').swap(buffer);
        if (out.capacity() > usual_buffer) std::string{}.swap(out);
        was_filled = false;
    }

    http::stream_socket socket;
    std::string buffer;
    std::size_t begin{0};
    std::size_t end{0};
    bool was_filled{false};
    std::string out;
    clock::time_point idle_until{};
};

struct forwarder::call {
    explicit call(const asio::any_io_executor& executor) : pump_over{executor} {}
    ~call()
    {
        if (upgrading) --*upgrading;
    }
    call(const call&) = delete;
    call& operator=(const call&) = delete;

    bool over() const noexcept { return stopped || timed_out; }
    void wake()
    {
        error_code ignored;  // nobody may be waiting
        if (up) up->socket.cancel(ignored);
        if (client) client->cancel(ignored);
    }
    void stop()
    {
        stopped = true;
        wake();
    }
    void expire(clock::time_point now)
    {
        if (std::min({read_deadline, write_deadline, client_deadline, last_words}) >= now) return;
        slow_client = client_deadline < now;
        read_deadline = write_deadline = client_deadline = last_words = clock::time_point::max();
        timed_out = true;
        wake();
    }

    std::unique_ptr<upstream> up;
    http::stream_socket* client{nullptr};  // of a tunnel
    std::string_view id;                   // of the program
    std::size_t* upgrading{nullptr};       // counts it
    answer_head head;
    body_shape shape;        // of the request
    std::string small_body;  // what was sent with its head
    std::string_view upgrade;
    clock::time_point read_deadline{clock::time_point::max()};
    clock::time_point write_deadline{clock::time_point::max()};
    clock::time_point client_deadline{clock::time_point::max()};  // for a tunnel's bytes to the client
    clock::time_point last_words{clock::time_point::max()};       // of a tunnel whose program has ended
    bool slow_client{false};
    milliseconds patience{};  // of a tunnel
    bool stopped{false};
    bool timed_out{false};
    bool ended{false};  // the program has closed
    bool request_sent{false};
    bool complete{false};
    // The request's body, if it is sent concurrently with the answer.
    bool pumping{false};
    bool awaiting_head{false};
    clock::time_point head_until{};
    async::event pump_over;
    std::optional<error> pump_failed;  // caused by the client
};

forwarder::forwarder(asio::any_io_executor executor, async::task_group& tasks, forwarder_settings how,
                     metrics::registry& metrics)
    : executor_{executor},
      tasks_{tasks},
      settings_{how},
      closing_{executor},
      failures_{
          metrics.add_counter("sandboxd_proxy_failures_total", "Requests without a valid answer of the program.")},
      cut_{metrics.add_counter("sandboxd_proxy_cut_total", "Answers of programs that were incomplete.")},
      from_pool_{metrics.add_counter("sandboxd_proxy_connections_total", "Connections to programs used for requests.",
                                     "from=\"pool\"")},
      dialled_{metrics.add_counter("sandboxd_proxy_connections_total", "Connections to programs used for requests.",
                                   "from=\"new\"")},
      tunnels_refused_{metrics.add_counter("sandboxd_proxy_tunnels_refused_total",
                                           "Upgrades refused for the number of tunnels (proxy.maxTunnels).")},
      tunnels_slow_{metrics.add_counter("sandboxd_proxy_tunnels_slow_total",
                                        "Tunnels ended because their client read too slowly.")}
{
    for (std::size_t digit = 1; digit < answers_.size(); ++digit)
        answers_[digit] =
            &metrics.add_counter("sandboxd_proxy_answers_total", "Answers of programs, by class of status.",
                                 "class=\"" + std::to_string(digit) + "xx\"");
    metrics.add_gauge("sandboxd_proxy_idle_connections", "Idle connections to programs.",
                      [this] { return static_cast<double>(idle_); });
    metrics.add_gauge("sandboxd_proxy_requests", "Active requests to programs, including tunnels.",
                      [this] { return static_cast<double>(calls_.size()); });
    metrics.add_gauge("sandboxd_proxy_tunnels", "Connections that were upgraded.",
                      [this] { return static_cast<double>(tunnels_); });
}

forwarder::~forwarder() = default;

void forwarder::start() { tasks_.spawn("keep the proxy's deadlines", reap()); }

void forwarder::close()
{
    closing_.set();
    pool_.clear();
    idle_ = 0;
}

asio::awaitable<void> forwarder::reap()
{
    while (!co_await closing_.wait_for(keep_check_interval)) {
        const auto now = clock::now();
        for (auto* const one : calls_) one->expire(now);
        for (auto place = pool_.begin(); place != pool_.end();) {
            idle_ -= std::erase_if(place->second.connections,
                                   [now](const auto& one) { return one->idle_until < now || !one->is_quiet(); });
            for (auto& one : place->second.connections) one->shrink();
            place = place->second.connections.empty() ? pool_.erase(place) : std::next(place);
        }
    }
}

std::unique_ptr<forwarder::upstream> forwarder::take(const std::string& id, std::uint64_t generation)
{
    const auto found = pool_.find(id);
    if (found == pool_.end() || found->second.generation > generation) return nullptr;
    auto& connections = found->second.connections;
    if (found->second.generation < generation) {
        idle_ -= connections.size();
        connections.clear();
    }
    while (!connections.empty()) {
        auto one = std::move(connections.back());
        connections.pop_back();
        --idle_;
        // The connection is closed or about to be. Nothing was sent over it, so another one can replace it.
        if (one->is_quiet() && clock::now() < one->idle_until) return one;
    }
    return nullptr;
}

bool forwarder::has_idle(const std::string& id, std::uint64_t generation) const
{
    const auto found = pool_.find(id);
    const auto now = clock::now();
    return found != pool_.end() && found->second.generation == generation &&
           std::ranges::any_of(found->second.connections,
                               [now](const auto& one) { return now < one->idle_until && one->is_quiet(); });
}

void forwarder::give_back(const std::string& id, std::uint64_t generation, std::unique_ptr<upstream> one,
                          std::optional<std::chrono::seconds> hint)
{
    milliseconds keep = settings_.idle_connection_time;
    // The program closes after that time, possibly while the next request is in transit.
    if (hint) keep = std::min<milliseconds>(keep, std::max(*hint - hint_margin, std::chrono::seconds{0}));
    if (keep.count() == 0 || closing_.is_set()) return;
    auto& mine = pool_[id];
    if (mine.generation > generation) return;
    if (mine.generation < generation) {
        idle_ -= mine.connections.size();
        mine.connections.clear();
        mine.generation = generation;
    }
    if (mine.connections.size() >= settings_.idle_connections) return;
    one->idle_until = clock::now() + keep;
    mine.connections.push_back(std::move(one));
    ++idle_;
}

asio::awaitable<result<void>> forwarder::forward(http::exchange& x, relay_route how, std::string id,
                                                 std::uint64_t generation, dialer& to)
{
    call c{executor_};
    c.id = id;
    const auto seat = calls_.insert(calls_.end(), &c);
    result<void> done;
    std::exception_ptr thrown;
    {
        const async::stop_callback on_stop{x.stop(), [&c](errc) { c.stop(); }};
        try {
            done = co_await exchange_with(x, how, id, generation, to, c);
        } catch (...) {
            thrown = std::current_exception();
        }
        if (c.pumping) co_await end_pump(x, c);
    }
    calls_.erase(seat);
    if (thrown) std::rethrow_exception(thrown);
    if (!done && (done.error().code == errc::upstream_failed || done.error().code == errc::upstream_timeout))
        failures_.add();
    co_return done;
}

// Why the program sent no answer, or no more of it.
error forwarder::failure(const http::exchange&, const call& c, std::string_view otherwise) const
{
    if (c.pump_failed) return *c.pump_failed;
    if (c.timed_out) return {errc::upstream_timeout, "the program did not answer in time"};
    return {errc::upstream_failed, std::string{otherwise}};
}

asio::awaitable<result<void>> forwarder::exchange_with(http::exchange& x, const relay_route& how, const std::string& id,
                                                       std::uint64_t generation, dialer& to, call& c)
{
    if (const auto length = x.content_length()) {
        c.shape = {body_kind::length, *length};
        if (settings_.body_bytes > 0 && *length > settings_.body_bytes)
            co_return error{errc::payload_too_large, "the body is larger than " + std::to_string(settings_.body_bytes) +
                                                         " bytes (proxy.maxBodyMB)"};
    } else if (!x.body_done()) {
        c.shape.kind = body_kind::chunked;
    }
    if (c.shape.kind == body_kind::none && x.version() == 11) c.upgrade = upgrade_of(x.fields());
    if (!c.upgrade.empty()) {
        if (upgrades_ >= settings_.tunnels) {
            tunnels_refused_.add();
            co_return error{errc::queue_full,
                            "there are " + std::to_string(settings_.tunnels) + " tunnels already (proxy.maxTunnels)"};
        }
        const auto of_program = static_cast<std::size_t>(
            std::ranges::count_if(calls_, [&id](const call* one) { return one->upgrading && one->id == id; }));
        if (of_program >= settings_.tunnels_a_program) {
            tunnels_refused_.add();
            co_return error{errc::queue_full, "this program has " + std::to_string(of_program) +
                                                  " tunnels already (proxy.maxTunnelsPerProgram)"};
        }
        ++upgrades_;
        c.upgrading = &upgrades_;
    }
    x.pace_body(settings_.idle_timeout);
    if (auto sent = co_await send_request(x, how, id, generation, to, c); !sent) co_return sent.error();
    if (x.body_done()) {
        c.request_sent = true;
        x.watch_disconnect_if_slow();
    } else {
        c.pumping = true;
        tasks_.spawn("send a request's body", pump(x, c));
    }
    if (auto read = co_await read_head(x, how, c); !read) co_return read.error();
    x.set_relayed();
    answers_[std::min<std::size_t>(c.head.status / 100, answers_.size() - 1)]->add();
    if (c.head.status == 101) co_return co_await tunnel(x, to, c);
    co_await relay_body(x, c);
    const bool again = c.complete && c.request_sent && c.head.keep_alive && !c.over() && c.up->buffered().empty();
    if (again && !c.pumping) give_back(id, generation, std::move(c.up), c.head.keep_alive_for);
    co_return result<void>{};
}

// Sends the head, and the body if it has already arrived.
asio::awaitable<result<void>> forwarder::send_request(http::exchange& x, const relay_route& how, const std::string& id,
                                                      std::uint64_t generation, dialer& to, call& c)
{
    auto& body = c.small_body;
    if (!x.body_done() && c.shape.kind == body_kind::length && c.shape.length <= small_body &&
        x.buffered() >= c.shape.length) {
        body.resize(c.shape.length);
        for (std::size_t at = 0; !x.body_done();) {
            const auto got = co_await x.read_some(std::span{body}.subspan(at));
            if (!got) co_return got.error();
            at += *got;
        }
    }
    const auto method = boost::beast::http::to_string(x.method());
    bool fresh = false;
    for (;;) {
        // A tunnel's buffers must be bounded from its first byte: the kernel does not shrink a buffer.
        if (!fresh && c.upgrade.empty()) c.up = take(id, generation);
        fresh = !c.up;
        if (fresh) {
            auto made = co_await to.connect(x.stop());
            if (!made) co_return made.error();
            c.up = std::make_unique<upstream>(std::move(*made));
            error_code ignored;  // an error shows when it is used
            c.up->socket.non_blocking(true, ignored);
            if (c.upgrade.empty())
                c.up->socket.set_option(asio::socket_base::receive_buffer_size{upstream_receive_bytes}, ignored);
            else
                bound_buffers(c.up->socket, settings_.tunnel_buffer_bytes);
        }
        (fresh ? dialled_ : from_pool_).add();
        if (x.stop().requested()) co_return make_error(x.stop().cause());
        auto& out = c.up->out;
        out.clear();
        write_request_head(out, {method.data(), method.size()}, x.fields(), how, c.shape, c.upgrade);
        out += body;
        std::size_t sent = 0;
        if (co_await send(c, out, sent)) co_return result<void>{};
        if (x.stop().requested()) co_return make_error(x.stop().cause());
        if (c.timed_out) co_return make_error(errc::upstream_timeout);
        // It may have answered before it read everything.
        if (fresh || sent > 0) co_return result<void>{};
        c.up.reset();
        c.ended = false;
    }
}

asio::awaitable<bool> forwarder::send(call& c, std::string_view bytes, std::size_t& sent)
{
    while (sent < bytes.size()) {
        if (c.over()) co_return false;
        error_code ec;
        sent += c.up->socket.write_some(asio::buffer(bytes.data() + sent, bytes.size() - sent), ec);
        if (sent == bytes.size()) break;
        if (ec && ec != asio::error::would_block && ec != asio::error::try_again) co_return false;
        c.write_deadline = clock::now() + settings_.idle_timeout;
        co_await c.up->socket.async_wait(http::stream_socket::wait_write,
                                         asio::redirect_error(asio::use_awaitable, ec));
        c.write_deadline = clock::time_point::max();
    }
    co_return true;
}

// Reads the client's body and sends it, concurrently with the answer.
asio::awaitable<void> forwarder::pump(http::exchange& x, call& c)
{
    std::string piece(pump_bytes, '\0');
    std::string framed;
    std::uint64_t total = 0;
    while (!c.over()) {
        const auto got = co_await x.read_some(piece);
        if (!got) {
            if (!c.over() && !c.complete) c.pump_failed = got.error();
            break;
        }
        total += *got;
        if (settings_.body_bytes > 0 && total > settings_.body_bytes) {
            c.pump_failed =
                error{errc::payload_too_large,
                      "the body is larger than " + std::to_string(settings_.body_bytes) + " bytes (proxy.maxBodyMB)"};
            break;
        }
        framed.clear();
        if (c.shape.kind == body_kind::chunked) {
            http::append_number(framed, *got, 16);
            framed += "\r\n";
            framed.append(piece, 0, *got);
            framed += "\r\n";
        } else {
            framed.append(piece, 0, *got);
        }
        std::size_t sent = 0;
        if (!co_await send(c, framed, sent)) break;
        if (c.awaiting_head) c.read_deadline = c.head_until = clock::now() + settings_.header_timeout;
        // With a length the last piece is known; with chunks an empty one has been sent.
        if (*got == 0 || (c.shape.kind == body_kind::length && total == c.shape.length)) {
            c.request_sent = true;
            x.watch_disconnect_if_slow();
            break;
        }
    }
    // Nobody answers half a request.
    if (c.pump_failed) c.stop();
    c.pumping = false;
    c.pump_over.set();
}

asio::awaitable<void> forwarder::end_pump(http::exchange& x, call& c)
{
    c.stop();
    x.stop_reading();
    while (c.pumping) co_await c.pump_over.wait();
}

// False at the end, on an error, and when nothing arrived until then.
asio::awaitable<bool> forwarder::receive(call& c, clock::time_point until)
{
    if (c.over()) co_return false;
    auto& up = *c.up;
    if (up.buffer.empty()) up.buffer.resize(usual_buffer);
    // A sender that fills the usual buffer at once gets a larger one.
    if (up.was_filled && up.buffer.size() < largest_buffer) up.buffer.resize(largest_buffer);
    if (up.buffer.size() - up.end < usual_buffer / 2) {
        std::copy(up.buffer.data() + up.begin, up.buffer.data() + up.end, up.buffer.data());
        up.end -= up.begin;
        up.begin = 0;
        if (up.buffer.size() - up.end < usual_buffer / 2) up.buffer.resize(up.end + usual_buffer);
    }
    c.read_deadline = until;
    error_code ec;
    const auto got =
        co_await up.socket.async_read_some(asio::buffer(up.buffer.data() + up.end, up.buffer.size() - up.end),
                                           asio::redirect_error(asio::use_awaitable, ec));
    c.read_deadline = clock::time_point::max();
    up.end += got;
    up.was_filled = up.end == up.buffer.size();
    c.ended = ec == asio::error::eof;
    co_return !ec;
}

asio::awaitable<result<void>> forwarder::read_head(http::exchange& x, const relay_route& how, call& c)
{
    c.awaiting_head = true;
    c.head_until = clock::now() + settings_.header_timeout;
    auto& up = *c.up;
    std::string fields;
    for (unsigned interim = 0;; ++interim) {
        std::size_t size = 0;
        for (std::size_t scanned = 0;;) {
            const auto found = http::find_header_end(up.buffered(), scanned);
            if (!found)
                co_return error{errc::upstream_failed, "the program's answer is not HTTP: " + found.error().message};
            size = *found;
            if (std::max(size, up.buffered().size() * (size == 0)) > settings_.header_bytes)
                co_return error{errc::upstream_failed,
                                "the head of the program's answer is too large (proxy.maxHeaderBytes)"};
            if (size > 0) break;
            if (!co_await receive(c, c.head_until)) {
                if (x.stop().requested()) co_return make_error(x.stop().cause());
                co_return failure(x, c, "the program closed the connection without an answer");
            }
        }
        const auto head = up.buffered().substr(0, size);
        if (auto read = read_answer_head(head, x.method() == http::verb::head, c.head); !read) co_return read.error();
        if (how.may_have_moved && c.head.status == 421 && says_moved(c.head)) {
            if (c.shape.length != c.small_body.size() || c.shape.kind == body_kind::chunked)
                co_return error{errc::index_unavailable,
                                "the deployment has moved to another server; send the request again"};
            if (!c.small_body.empty()) x.put_back_body(std::move(c.small_body));
            co_return make_error(errc::misdirected_request);
        }
        if (c.head.status == 101 && c.upgrade.empty())
            co_return error{errc::upstream_failed, "the program switched protocols without a request to do so"};
        if (c.head.status >= 200 || c.head.status == 101) {
            fields.clear();
            const bool has_date = write_answer_fields(fields, c.head, how);
            c.awaiting_head = false;
            if (c.head.status == 101) {
                fields += "Connection: Upgrade\r\n";
                http::append_field(fields, "Upgrade", c.head.upgrade.empty() ? c.upgrade : c.head.upgrade);
                up.consume(size);
                up.out = std::move(fields);
                co_return result<void>{};
            }
            const bool known = c.head.body.kind == body_kind::length;
            const http::raw_head begun{c.head.status, c.head.reason, fields, has_date};
            x.begin(begun, known ? std::optional{c.head.body.length} : std::nullopt);
            up.consume(size);
            co_return result<void>{};
        }
        if (interim == most_interim)
            co_return error{errc::upstream_failed, "the program sends too many answers before its answer"};
        // 100 is between this server and the program. The others are advice, and many a client takes the first answer
        // for the answer: nginx before 1.29 as well.
        if (c.head.status != 100 && settings_.early_hints) {
            fields.clear();
            write_answer_fields(fields, c.head, how);
            if (auto told = co_await x.interim(c.head.status, fields); !told) co_return told.error();
        }
        up.consume(size);
    }
}

asio::awaitable<void> forwarder::relay_body(http::exchange& x, call& c)
{
    auto& up = *c.up;
    chunk_decoder chunks;
    const auto kind = x.method() == http::verb::head ? body_kind::none : c.head.body.kind;
    auto left = c.head.body.length;
    std::string broken;
    std::string_view wrong;
    for (;;) {
        auto piece = kind == body_kind::none ? std::string_view{} : up.buffered();
        auto used = piece.size();
        bool last = kind == body_kind::none;
        if (kind == body_kind::length) {
            used = static_cast<std::size_t>(std::min<std::uint64_t>(left, piece.size()));
            piece = piece.substr(0, used);
            left -= used;
            last = left == 0;
        } else if (kind == body_kind::chunked) {
            const auto step = chunks.decode({up.buffer.data() + up.begin, up.end - up.begin});
            if (!step) {
                broken = step.error().message;
                wrong = broken;
                const auto told = co_await x.flush();  // shows that there was an answer
                static_cast<void>(told);
                x.cut();
                break;
            }
            piece = piece.substr(0, step->data);
            used = step->used;
            last = chunks.done();
        }
        if (last) {
            const auto finished = co_await x.finish(piece);
            up.consume(used);
            c.complete = finished.has_value();
            co_return;
        }
        // Send what there is before waiting for more, at least the head.
        const auto told = piece.empty() ? co_await x.flush() : co_await x.write(piece);
        up.consume(used);
        if (!told) co_return;
        if (co_await receive(c, clock::now() + settings_.idle_timeout)) continue;
        if (kind == body_kind::until_close && c.ended && !c.over()) {
            const auto finished = co_await x.finish();
            c.complete = finished.has_value();
            co_return;
        }
        wrong = c.timed_out ? "nothing came for proxy.idleTimeoutSecs" : "it was incomplete";
        x.cut();
        break;
    }
    if (x.stop().requested() || c.pump_failed) co_return;
    cut_.add();
    log::warning("an answer of a program was cut",
                 {{"id", x.request_id()}, {"cause", wrong}, log::in_json("trace_id", x.trace_id())});
}

asio::awaitable<result<void>> forwarder::tunnel(http::exchange& x, dialer& to, call& c)
{
    x.end_when_draining();
    const std::string fields = std::move(c.up->out);
    // The buffer after the head has the program's first bytes.
    std::string said{c.up->buffered()};
    const http::raw_head head{.status = 101, .fields = fields};
    auto taken = co_await x.take_over(head);
    if (!taken) co_return taken.error();
    // Whoever does not read leaves what is sent to him in the kernel, up to these.
    bound_buffers(taken->socket, settings_.tunnel_buffer_bytes);
    ++tunnels_;
    c.client = &taken->socket;
    c.patience = settings_.tunnel_idle_timeout;
    c.read_deadline = clock::now() + c.patience;
    {
        const async::stop_callback on_end{to.ended(),
                                          [&c](errc) { c.last_words = clock::now() + last_words_patience; }};
        c.pumping = true;
        way up{taken->socket,    c.up->socket,           std::move(taken->buffered),
               c.write_deadline, settings_.idle_timeout, nullptr};
        tasks_.spawn("one way of a tunnel", other_way(c, std::move(up)));
        way down{c.up->socket, taken->socket, std::move(said), c.client_deadline, settings_.write_timeout, &x};
        co_await one_way(c, std::move(down));
        while (c.pumping) co_await c.pump_over.wait();
    }
    c.client = nullptr;
    --tunnels_;
    if (c.over()) {
        give_up(taken->socket);
        give_up(c.up->socket);
    }
    if (c.slow_client) tunnels_slow_.add();
    co_return result<void>{};
}

asio::awaitable<void> forwarder::other_way(call& c, way w)
{
    co_await one_way(c, std::move(w));
    c.pumping = false;
    c.pump_over.set();
}

// Sends everything, as long as the other side reads something in every `patience` and keeps the minimum rate. False
// when the tunnel has ended.
asio::awaitable<bool> forwarder::send_all(call& c, way& w, std::string_view bytes, std::uint64_t& sent,
                                          clock::duration& waited)
{
    // Bytes that the client has not read count as unsent answers.
    struct unsent_bytes {
        http::exchange* in{nullptr};
        ~unsent_bytes()
        {
            if (in) in->release_unsent();
        }
    } held;
    while (!bytes.empty()) {
        if (c.over()) co_return false;
        error_code ec;
        const auto taken = w.to.write_some(asio::buffer(bytes.data(), bytes.size()), ec);
        bytes.remove_prefix(taken);
        sent += taken;
        if (w.counted) w.counted->count_sent(taken);
        if (bytes.empty()) break;
        if (ec && ec != asio::error::would_block && ec != asio::error::try_again) co_return false;
        if (w.counted && !held.in) {
            if (!w.counted->hold_unsent(bytes.size() + settings_.tunnel_buffer_bytes)) co_return false;
            held.in = w.counted;
        }
        const auto now = clock::now();
        const std::chrono::seconds for_size{sent / settings_.write_bytes_per_sec};
        w.deadline = std::min(now + w.patience, now + w.patience + for_size - waited);
        co_await w.to.async_wait(http::stream_socket::wait_write, asio::redirect_error(asio::use_awaitable, ec));
        w.deadline = clock::time_point::max();
        waited += clock::now() - now;
        if (ec) co_return false;
    }
    co_return true;
}

asio::awaitable<void> forwarder::one_way(call& c, way w)
{
    std::string buffer = std::move(w.first);
    std::size_t filled = buffer.size();
    buffer.resize(std::max(filled, usual_buffer));
    std::uint64_t sent = 0;
    clock::duration waited{};
    while (!c.over()) {
        if (filled > 0 && !co_await send_all(c, w, std::string_view{buffer}.substr(0, filled), sent, waited)) break;
        if (c.over()) break;
        const auto [ec, got] =
            co_await w.from.async_read_some(asio::buffer(buffer), asio::as_tuple(asio::use_awaitable));
        c.read_deadline = clock::now() + c.patience;
        if (ec == asio::error::eof) {
            // The other direction may go on for a while.
            c.patience = std::min(c.patience, half_closed_patience);
            c.read_deadline = clock::now() + c.patience;
            error_code gone;
            w.to.shutdown(http::stream_socket::shutdown_send, gone);
            if (!gone) co_return;
        }
        if (ec) break;
        filled = got;
    }
    c.stop();
}

}  // namespace sandboxd::proxy
