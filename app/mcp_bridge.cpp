#include "mcp_bridge.hpp"

#include "async/mutex.hpp"
#include "base/secret_file.hpp"
#include "base/unique_fd.hpp"
#include "mcp/revision.hpp"
#include "mcp/rpc.hpp"
#include "tenants/bearer.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <memory>
#include <utility>

namespace sandboxd::app {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::as_tuple;
using asio::use_awaitable;
using error_code = boost::system::error_code;

namespace {

constexpr std::size_t longest_line = 64u << 20;
constexpr std::size_t most_calls = 256;  // at the same time

constexpr std::string_view mcp_usage = R"(sandboxd mcp: tools for agents, on standard input and output

usage: sandboxd mcp [--url URL] [--key-file PATH]

  --url URL   the running server: 'http://localhost:8080' or 'unix:/path';
              default: SANDBOXD_URL of the environment, then the first one
  --key-file PATH
              a file with the key, for a server that wants one; default:
              SANDBOXD_KEY_FILE of the environment. SANDBOXD_KEY is the key
              itself. No argument is: others can read those.
  --help      print this and exit
)";

using socket = asio::generic::stream_protocol::socket;

class bridge {
public:
    bridge(asio::io_context& io, mcp_place where, std::string key)
        : io_{io}, where_{std::move(where)}, key_{std::move(key)}, in_{io}, out_{io}, writing_{io.get_executor()}
    {
        attach(in_, STDIN_FILENO);
        attach(out_, STDOUT_FILENO);
    }

    // Until the input ends, and what it has asked for is answered. A host that wants no answers any more ends this
    // process, or is gone: then nobody reads what is printed.
    asio::awaitable<void> run()
    {
        if (out_.is_open()) spawn(leave_with_reader());
        std::string buffer;
        for (bool more = true; more;) {
            more = co_await read_line(buffer);
            const auto end = more ? buffer.find('\n') : buffer.size();
            auto line = buffer.substr(0, end);
            buffer.erase(0, end + 1);
            if (line.ends_with('\r')) line.pop_back();
            if (!line.empty()) co_await take(std::move(line));
        }
        is_over_ = true;
        const auto all = calls_;
        for (const auto& [id, one] : all)
            if (one->is_endless) end(*one);
        if (busy_ == 0) io_.stop();
    }

private:
    struct under_way {
        std::shared_ptr<socket> connection;
        bool is_endless{false};
        bool cancelled{false};
    };

    // A file cannot be waited for, and need not: `to` stays closed then. Asio itself takes one, and fails later.
    static void attach(asio::posix::stream_descriptor& to, int fd)
    {
        const unique_fd look{::epoll_create1(EPOLL_CLOEXEC)};
        epoll_event nothing{};
        if (::epoll_ctl(look.get(), EPOLL_CTL_ADD, fd, &nothing) != 0 && errno == EPERM) return;
        to.assign(::dup(fd));
    }

    void spawn(asio::awaitable<void> task)
    {
        asio::co_spawn(io_, std::move(task), [](const std::exception_ptr& thrown) {
            if (thrown) std::rethrow_exception(thrown);
        });
    }

    // False at the end: what is left in the buffer is the last line.
    asio::awaitable<bool> read_line(std::string& buffer)
    {
        if (in_.is_open()) {
            const auto [ec, size] = co_await asio::async_read_until(in_, asio::dynamic_buffer(buffer, longest_line),
                                                                    '\n', as_tuple(use_awaitable));
            if (ec == asio::error::not_found) refuse_line(buffer);
            co_return !ec;
        }
        while (buffer.find('\n') == std::string::npos) {
            std::array<char, 16384> piece;
            const auto got = ::read(STDIN_FILENO, piece.data(), piece.size());
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) co_return false;
            buffer.append(piece.data(), static_cast<std::size_t>(got));
            if (buffer.size() > longest_line) {
                refuse_line(buffer);
                co_return false;
            }
        }
        co_return true;
    }

    static void refuse_line(std::string& buffer)
    {
        std::fputs("sandboxd mcp: a line is too long\n", stderr);
        buffer.clear();
    }

    asio::awaitable<void> leave_with_reader()
    {
        for (;;) {
            const auto [ec] =
                co_await out_.async_wait(asio::posix::stream_descriptor::wait_error, as_tuple(use_awaitable));
            pollfd now{out_.native_handle(), 0, 0};
            if (ec || (::poll(&now, 1, 0) == 1 && (now.revents & POLLERR) != 0)) break;
        }
        io_.stop();
    }

    asio::awaitable<void> print(std::string text)
    {
        text += '\n';
        const auto mine = co_await writing_.lock();
        if (out_.is_open()) {
            const auto [ec, size] = co_await asio::async_write(out_, asio::buffer(text), as_tuple(use_awaitable));
            if (ec) io_.stop();
            co_return;
        }
        for (std::string_view left{text}; !left.empty();) {
            const auto put = ::write(STDOUT_FILENO, left.data(), left.size());
            if (put < 0 && errno == EINTR) continue;
            if (put <= 0) {
                io_.stop();
                co_return;
            }
            left.remove_prefix(static_cast<std::size_t>(put));
        }
    }

    static void end(under_way& call)
    {
        call.cancelled = true;
        error_code ignored;
        call.connection->close(ignored);
    }

    asio::awaitable<void> fail(const std::string& id, std::string why)
    {
        if (!id.empty()) co_await print(mcp::error_message({.message = std::move(why), .id = id}));
    }

    asio::awaitable<void> take(std::string line)
    {
        const auto read = mcp::read_message(line, {.max_depth = 64, .max_members = 1'000'000});
        if (const auto* const wrong = std::get_if<mcp::rpc_error>(&read)) {
            auto told = *wrong;
            // An id that cannot be read is null (JSON-RPC 2.0, section 5). Over HTTP, where the answer belongs to its
            // request, it is left out, as MCP's schema has it.
            if (told.id.empty()) told.id = "null";
            co_await print(mcp::error_message(told));
            co_return;
        }
        const auto& message = std::get<mcp::rpc_message>(read);
        if (message.method == "notifications/cancelled") {
            // Closing the connection is how the server is told, in every revision.
            static constexpr std::array<std::string_view, 1> names{"requestId"};
            const auto all = mcp::members_of(message.params, names);
            const auto id = all ? mcp::id_of(all->front()) : std::nullopt;
            const auto found = id ? calls_.find(*id) : calls_.end();
            if (found != calls_.end()) end(*found->second);
            co_return;
        }
        if (message.what == mcp::rpc_message::kind::response) co_return;
        if (!message.id.empty() && calls_.contains(message.id)) {
            co_await fail(message.id, "a request of this id is still under way");
            co_return;
        }
        if (busy_ >= most_calls) {
            co_await fail(message.id, "too many requests are under way");
            co_return;
        }
        auto mine = std::make_shared<under_way>();
        mine->connection = std::make_shared<socket>(io_);
        mine->is_endless = message.method == "subscriptions/listen";
        ++busy_;
        if (!message.id.empty()) calls_.emplace(message.id, mine);
        auto task = forward(std::move(line), message.id, message.method, mcp::fields_of(message, negotiated_), mine);
        // What comes next on the line may depend on what initialize settles.
        if (message.method == "initialize")
            co_await std::move(task);
        else
            spawn(std::move(task));
    }

    asio::awaitable<error_code> connect(socket& to)
    {
        if (where_.host.empty()) {
            const asio::local::stream_protocol::endpoint there{where_.path};
            const auto [ec] = co_await to.async_connect(there, as_tuple(use_awaitable));
            co_return ec;
        }
        asio::ip::tcp::resolver resolver{io_};
        const auto [unresolved, found] =
            co_await resolver.async_resolve(where_.host, std::to_string(where_.port), as_tuple(use_awaitable));
        if (unresolved) co_return unresolved;
        error_code last = asio::error::host_not_found;
        for (const auto& one : found) {
            error_code ignored;
            to.close(ignored);
            const asio::generic::stream_protocol::endpoint there{one.endpoint()};
            const auto [ec] = co_await to.async_connect(there, as_tuple(use_awaitable));
            last = ec;
            if (!ec) break;
        }
        co_return last;
    }

    asio::awaitable<void> forward(std::string line, std::string id, std::string method, mcp::told_fields fields,
                                  std::shared_ptr<under_way> mine)
    {
        const auto why = co_await post(std::move(line), id, method, std::move(fields), *mine);
        if (!id.empty()) calls_.erase(id);
        if (!why.empty() && !mine->cancelled) co_await fail(id, why);
        --busy_;
        if (is_over_ && busy_ == 0) io_.stop();
    }

    // Empty: answered, or nothing is to be answered. Otherwise why not.
    asio::awaitable<std::string> post(std::string line, std::string id, std::string method, mcp::told_fields fields,
                                      under_way& mine)
    {
        auto& to = *mine.connection;
        const auto unreachable = co_await connect(to);
        // It may have been cancelled while there was nothing to close.
        if (mine.cancelled) {
            error_code ignored;
            to.close(ignored);
            co_return "";
        }
        if (unreachable) co_return "the server cannot be reached at " + where_.authority + ": " + unreachable.message();
        beast::http::request<beast::http::string_body> asked{beast::http::verb::post, where_.target, 11};
        asked.set(beast::http::field::host, where_.authority);
        asked.set(beast::http::field::content_type, "application/json");
        asked.set(beast::http::field::accept, "application/json, text/event-stream");
        asked.set(beast::http::field::connection, "close");
        asked.set(beast::http::field::user_agent, "sandboxd-mcp");
        if (!key_.empty()) asked.set(beast::http::field::authorization, "Bearer " + key_);
        if (!fields.version.empty()) asked.set("MCP-Protocol-Version", fields.version);
        asked.set("Mcp-Method", fields.method);
        if (!fields.name.empty()) asked.set("Mcp-Name", fields.name);
        if (!session_.empty() && !fields.stateless && method != "initialize") asked.set("Mcp-Session-Id", session_);
        asked.body() = std::move(line);
        asked.prepare_payload();
        const auto [unsent, sent] = co_await beast::http::async_write(to, asked, as_tuple(use_awaitable));
        if (unsent) co_return "the connection to the server was lost: " + unsent.message();

        beast::flat_buffer buffer;
        beast::http::response_parser<beast::http::buffer_body> answer;
        answer.body_limit(boost::none);
        const auto [no_head, got_head] =
            co_await beast::http::async_read_header(to, buffer, answer, as_tuple(use_awaitable));
        if (no_head) co_return "the server has not answered: " + no_head.message();
        const auto status = answer.get().result_int();
        const auto type = answer.get()[beast::http::field::content_type];
        const bool in_events = type.starts_with("text/event-stream");
        if (method == "initialize") session_ = std::string{answer.get()["Mcp-Session-Id"]};
        std::string text;
        bool answered = false;
        while (!answer.is_done()) {
            std::array<char, 16384> piece;
            answer.get().body().data = piece.data();
            answer.get().body().size = piece.size();
            // What is there now: a whole piece may take minutes to come.
            const auto [cut, read] = co_await beast::http::async_read_some(to, buffer, answer, as_tuple(use_awaitable));
            if (cut && cut != beast::http::error::need_buffer) co_return "the answer was cut short: " + cut.message();
            text.append(piece.data(), piece.size() - answer.get().body().size);
            if (text.size() > longest_line) co_return "the answer is too long";
            if (in_events && co_await print_events(text, id)) answered = true;
        }
        if (mine.cancelled || id.empty()) co_return "";
        if (in_events) co_return answered ? "" : "the server has ended the stream without an answer";
        if (!type.starts_with("application/json") || !is_message(text))
            co_return "the server has answered " + std::to_string(status) + "; is there a sandboxd with mcp.enabled?";
        // A line's end would end the message.
        std::ranges::replace(text, '\n', ' ');
        if (method == "initialize") note_revision(text);
        co_await print(with_id(std::move(text), id));
        co_return "";
    }

    // Prints the whole events at the beginning of `text`, and takes them off it. Whether one of them is the answer.
    asio::awaitable<bool> print_events(std::string& text, const std::string& id)
    {
        bool answered = false;
        for (auto end = text.find("\n\n"); end != std::string::npos; end = text.find("\n\n")) {
            const auto event = text.substr(0, end);
            text.erase(0, end + 2);
            constexpr std::string_view before = "data: ";
            if (!event.starts_with(before)) continue;  // a comment
            auto message = event.substr(before.size());
            static constexpr std::array<std::string_view, 1> names{"id"};
            const auto all = mcp::members_of(message, names);
            answered = answered || (all && mcp::id_of(all->front()) == id);
            co_await print(std::move(message));
        }
        co_return answered;
    }

    static bool is_message(std::string_view text)
    {
        static constexpr std::array<std::string_view, 1> names{"jsonrpc"};
        const auto all = mcp::members_of(text, names);
        return all && !all->front().empty();
    }

    void note_revision(std::string_view answer)
    {
        static constexpr std::array<std::string_view, 1> outer{"result"};
        static constexpr std::array<std::string_view, 1> inner{"protocolVersion"};
        const auto result = mcp::members_of(answer, outer);
        if (!result || !mcp::is_object(result->front())) return;
        if (const auto all = mcp::members_of(result->front(), inner))
            negotiated_ = mcp::text_of(all->front()).value_or("");
    }

    // An error that the server could not give the request's id.
    static std::string with_id(std::string answer, const std::string& id)
    {
        static constexpr std::array<std::string_view, 2> names{"id", "error"};
        const auto all = mcp::members_of(answer, names);
        if (!all || !(*all)[0].empty() || (*all)[1].empty()) return answer;
        return R"({"jsonrpc":"2.0","id":)" + id + R"(,"error":)" + std::string{(*all)[1]} + '}';
    }

    asio::io_context& io_;
    mcp_place where_;
    std::string key_;  // empty: none is sent
    asio::posix::stream_descriptor in_;
    asio::posix::stream_descriptor out_;
    async::mutex writing_;
    std::map<std::string, std::shared_ptr<under_way>> calls_;  // by the request's id
    std::size_t busy_{0};                                      // with notifications
    bool is_over_{false};                                      // the input
    std::string session_;
    std::string negotiated_;
};

}  // namespace

result<mcp_place> parse_mcp_place(std::string_view url)
{
    const auto wrong = [&url](std::string_view what) {
        return invalid_request("'" + std::string{url} + "' " + std::string{what} +
                               "; write http://localhost:8080 or unix:/path");
    };
    mcp_place made;
    constexpr std::string_view local = "unix:";
    constexpr std::string_view plain = "http://";
    if (url.starts_with(local)) {
        made.path = url.substr(local.size());
        if (!made.path.starts_with('/')) return wrong("is no absolute path");
        made.authority = "localhost";
        made.target = "/mcp";
        return made;
    }
    if (url.starts_with("https://")) return wrong("needs TLS, which sandboxd leaves to a proxy");
    if (!url.starts_with(plain)) return wrong("is no address of a server");
    const auto rest = url.substr(plain.size());
    const auto slash = rest.find('/');
    made.authority = rest.substr(0, slash);
    made.target = slash == std::string_view::npos ? "" : rest.substr(slash);
    while (made.target.ends_with('/')) made.target.pop_back();
    if (!made.target.ends_with("/mcp")) made.target += "/mcp";
    std::string_view host = made.authority;
    const auto bracket = host.rfind(']');
    const auto colon = host.rfind(':');
    if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
        const auto port = host.substr(colon + 1);
        const auto [at, ec] = std::from_chars(port.data(), port.data() + port.size(), made.port);
        if (ec != std::errc{} || at != port.data() + port.size() || made.port == 0) return wrong("has no valid port");
        host = host.substr(0, colon);
    }
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    if (host.empty() || host.find_first_of(" @?#[]") != std::string_view::npos) return wrong("has no valid host");
    made.host = host;
    return made;
}

result<std::string> read_mcp_key(const char* key, const std::string& file)
{
    std::string text;
    if (key && *key) {
        text = key;
    } else if (!file.empty()) {
        auto secret = read_secret(file, 1);
        if (!secret) return secret.error();
        text = std::move(*secret);
    } else {
        return text;
    }
    const auto where = key && *key ? std::string{"SANDBOXD_KEY"} : file;
    const auto line = "Bearer " + text;
    if (text.empty() || text.size() > tenants::longest_key || tenants::read_credentials(line).key != text)
        return invalid_request(where + " has no key: one is at most " + std::to_string(tenants::longest_key) +
                               " letters, digits and '-._~+/', and '=' at its end");
    return text;
}

int run_mcp(std::span<const char* const> arguments)
{
    constexpr int exit_wrong = 2;
    const char* const key_told = std::getenv("SANDBOXD_KEY_FILE");
    std::string key_file = key_told ? key_told : "";
    const char* key = std::getenv("SANDBOXD_KEY");
    const char* const told = std::getenv("SANDBOXD_URL");
    std::string url = told && *told ? told : "http://localhost:8080";
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view one{arguments[i]};
        if (one == "--help") {
            std::fputs(std::string{mcp_usage}.c_str(), stdout);
            return EXIT_SUCCESS;
        }
        if (one == "--url" && i + 1 < arguments.size()) {
            url = arguments[++i];
        } else if (one.starts_with("--url=")) {
            url = one.substr(one.find('=') + 1);
        } else if (one == "--key-file" && i + 1 < arguments.size()) {
            key_file = arguments[++i];
            key = nullptr;
        } else if (one.starts_with("--key-file=")) {
            key_file = one.substr(one.find('=') + 1);
            key = nullptr;
        } else {
            std::fprintf(stderr, "sandboxd mcp: unknown argument '%s'; see sandboxd mcp --help\n", arguments[i]);
            return exit_wrong;
        }
    }
    auto where = parse_mcp_place(url);
    if (!where) {
        std::fprintf(stderr, "sandboxd mcp: %s\n", where.error().message.c_str());
        return exit_wrong;
    }
    auto sent = read_mcp_key(key, key_file);
    if (!sent) {
        std::fprintf(stderr, "sandboxd mcp: %s\n", sent.error().message.c_str());
        return exit_wrong;
    }
    asio::io_context io{1};
    bridge all{io, std::move(*where), std::move(*sent)};
    asio::co_spawn(io, all.run(), [](const std::exception_ptr& thrown) {
        if (thrown) std::rethrow_exception(thrown);
    });
    io.run();
    return EXIT_SUCCESS;
}

}  // namespace sandboxd::app
