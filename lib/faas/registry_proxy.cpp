#include "faas/registry_proxy.hpp"

#include "base/ascii.hpp"
#include "base/log.hpp"
#include "base/utf8.hpp"
#include "process/host_lookup.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

namespace sandboxd::faas {

namespace asio = boost::asio;

namespace {

// Of the package manager's own requests, which the operator has installed.
constexpr std::size_t largest_head = 32 * 1024;
constexpr std::size_t relay_buffer = 64 * 1024;
constexpr auto dial_patience = std::chrono::seconds{15};
constexpr auto one_by_one = asio::as_tuple(asio::use_awaitable);

// "host:port", "host", "[address]:port"; false for everything else.
bool read_authority(std::string_view text, std::uint16_t usual_port, origin& into)
{
    std::string_view host = text;
    std::string_view port;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos) return false;
        host = text.substr(1, end - 1);
        port = text.substr(end + 1);
        if (host.empty() || host.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos) return false;
        if (!port.empty() && port.front() != ':') return false;
        if (!port.empty()) port.remove_prefix(1);
    } else {
        const auto colon = text.find(':');
        host = text.substr(0, colon);
        if (colon != std::string_view::npos) port = text.substr(colon + 1);
        const bool plain = !host.empty() && host.front() != '-' && std::ranges::all_of(host, [](char c) {
            return is_alphanumeric(c) || c == '-' || c == '.' || c == '_';
        });
        if (!plain || (colon != std::string_view::npos && port.empty())) return false;
    }
    unsigned number = usual_port;
    if (!port.empty()) {
        const auto [at, ec] = std::from_chars(port.data(), port.data() + port.size(), number);
        if (ec != std::errc{} || at != port.data() + port.size() || number == 0 || number > 65535) return false;
    }
    into.host = in_lower_case(host);
    into.port = static_cast<std::uint16_t>(number);
    return true;
}

// Basic credentials for a proxy (RFC 7617, RFC 4648).
std::string credentials(std::string_view user_info)
{
    static constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string made;
    for (std::size_t at = 0; at < user_info.size(); at += 3) {
        const auto piece = user_info.substr(at, 3);
        unsigned bits = 0;
        for (std::size_t i = 0; i < 3; ++i)
            bits = bits << 8 | (i < piece.size() ? static_cast<unsigned char>(piece[i]) : 0U);
        for (std::size_t i = 0; i < 4; ++i) made += i <= piece.size() ? digits[bits >> (18 - 6 * i) & 63] : '=';
    }
    return made;
}

// The end-to-end fields of a message, with their line ends.
std::string kept_fields(std::string_view head, bool of_request)
{
    std::string made;
    std::size_t at = head.find("\r\n");
    while (at != std::string_view::npos && at + 2 < head.size()) {
        const auto begin = at + 2;
        at = head.find("\r\n", begin);
        const auto line = head.substr(begin, at == std::string_view::npos ? at : at - begin);
        const auto name = in_lower_case(line.substr(0, line.find(':')));
        if (line.empty() || name == "connection" || name == "keep-alive" || name.starts_with("proxy-") ||
            name == "upgrade")
            continue;
        if (of_request && (name == "host" || name == "te" || name == "content-length" || name == "transfer-encoding"))
            continue;
        made.append(line) += "\r\n";
    }
    return made;
}

}  // namespace

std::string origin::text() const
{
    const bool v6 = host.find(':') != std::string::npos;
    return std::string{tls ? "https://" : "http://"} + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

result<registry_url> parse_registry_url(std::string_view url)
{
    registry_url made;
    std::string_view rest = url;
    if (std::ranges::any_of(url, [](unsigned char c) { return c <= ' ' || c == 0x7f; }))
        return invalid_request("'" + std::string{url} + "' has a blank, which a URL cannot have; remove it");
    if (rest.starts_with("https://")) {
        rest.remove_prefix(8);
    } else if (rest.starts_with("http://")) {
        made.at.tls = false;
        rest.remove_prefix(7);
    } else {
        return invalid_request("'" + std::string{url} + "' is not an http: or https: URL");
    }
    rest = rest.substr(0, rest.find_first_of("/?#"));
    if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
        made.user_info = rest.substr(0, at);
        rest.remove_prefix(at + 1);
    }
    if (!read_authority(rest, made.at.tls ? 443 : 80, made.at))
        return invalid_request("'" + std::string{url} + "' names no host");
    return made;
}

struct registry_proxy::link {
    link(const asio::any_io_executor& executor, socket from) : inner{std::move(from)}, outer{executor} {}

    void close()
    {
        boost::system::error_code ignored;  // pending operations fail then
        inner.close(ignored);
        outer.close(ignored);
    }

    socket inner;
    asio::ip::tcp::socket outer;
    std::string from_inner;
};

registry_proxy::registry_proxy(asio::any_io_executor executor, async::task_group& tasks, registry_proxy_settings how,
                               async::stop_source& stop, metrics::counter& refusals)
    : executor_{executor}, tasks_{executor, tasks}, settings_{std::move(how)}, stop_{stop}, refusals_{refusals}
{
}

void registry_proxy::take(socket from)
{
    if (stop_.requested() || tasks_.size() >= settings_.max_connections) return;
    tasks_.spawn("a connection of an install", serve(std::make_shared<link>(executor_, std::move(from))));
}

asio::awaitable<void> registry_proxy::wait()
{
    while (!co_await tasks_.wait_empty_for(std::chrono::seconds{60})) {
    }
}

asio::awaitable<void> registry_proxy::answer(link& both, std::string_view status)
{
    const auto text = "HTTP/1.1 " + std::string{status} + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const auto [ec, sent] = co_await asio::async_write(both.inner, asio::buffer(text), one_by_one);
    static_cast<void>(ec);  // the client may be gone
    static_cast<void>(sent);
}

asio::awaitable<result<std::vector<asio::ip::tcp::endpoint>>> registry_proxy::resolve(std::string host,
                                                                                      std::uint16_t port)
{
    auto known = known_.find(host);
    if (known == known_.end()) {
        auto found = co_await process::look_up(host, dial_patience, stop_);
        if (!found && found.error().code != errc::not_found) co_return found.error();
        if (!found) co_return error{errc::install_failed, "the registry's host '" + host + "' cannot be resolved"};
        known = known_.insert_or_assign(host, std::move(*found)).first;
    }
    std::vector<asio::ip::tcp::endpoint> made;
    for (const auto& address : known->second) made.emplace_back(address, port);
    co_return made;
}

asio::awaitable<result<void>> registry_proxy::dial(link& both, const origin& to)
{
    auto place = to;
    std::string user_info;
    if (!settings_.proxy.empty()) {
        const auto proxy = parse_registry_url(settings_.proxy);
        if (!proxy) co_return proxy.error();
        place = proxy->at;
        user_info = proxy->user_info;
    }
    const auto endpoints = co_await resolve(place.host, place.port);
    if (!endpoints) co_return endpoints.error();
    boost::system::error_code failed = asio::error::host_unreachable;
    for (const auto& endpoint : *endpoints) {
        boost::system::error_code ignored;
        both.outer.close(ignored);
        asio::steady_timer deadline{executor_, dial_patience};
        deadline.async_wait([&both](boost::system::error_code late) {
            boost::system::error_code ignored_too;
            if (!late) both.outer.close(ignored_too);
        });
        const auto [ec] = co_await both.outer.async_connect(endpoint, one_by_one);
        deadline.cancel();
        failed = ec;
        if (!failed || stop_.requested()) break;
    }
    if (failed) co_return error{errc::install_failed, "the registry cannot be reached: " + failed.message()};
    if (settings_.proxy.empty() || !to.tls) co_return result<void>{};
    const auto name = to.text().substr(to.text().find("//") + 2);
    std::string ask = "CONNECT " + name + " HTTP/1.1\r\nHost: " + name + "\r\n";
    if (!user_info.empty()) ask += "Proxy-Authorization: Basic " + credentials(user_info) + "\r\n";
    ask += "\r\n";
    const auto [write_ec, sent] = co_await asio::async_write(both.outer, asio::buffer(ask), one_by_one);
    static_cast<void>(sent);
    std::string head;
    const auto [read_ec, got] =
        co_await asio::async_read_until(both.outer, asio::dynamic_buffer(head, largest_head), "\r\n\r\n", one_by_one);
    if (write_ec || read_ec || got != head.size() || !head.starts_with("HTTP/1.") || head.substr(8, 5) != " 200 ")
        co_return error{errc::install_failed, "the proxy (faas.installProxy) does not connect to the registry"};
    co_return result<void>{};
}

asio::awaitable<void> registry_proxy::pump(std::shared_ptr<link> both, bool up)
{
    std::string buffer(relay_buffer, '\0');
    for (;;) {
        boost::system::error_code failed;
        std::size_t size = 0;
        if (up) {
            const auto [ec, got] = co_await both->inner.async_read_some(asio::buffer(buffer), one_by_one);
            failed = ec;
            size = got;
        } else {
            const auto [ec, got] = co_await both->outer.async_read_some(asio::buffer(buffer), one_by_one);
            failed = ec;
            size = got;
        }
        if (failed) break;
        bytes_ += size;
        if (bytes_ > settings_.max_bytes) {
            stop_.request(errc::disk_limit);
            break;
        }
        const auto piece = asio::buffer(buffer.data(), size);
        if (up) {
            const auto [ec, sent] = co_await asio::async_write(both->outer, piece, one_by_one);
            failed = ec;
            static_cast<void>(sent);
        } else {
            const auto [ec, sent] = co_await asio::async_write(both->inner, piece, one_by_one);
            failed = ec;
            static_cast<void>(sent);
        }
        if (failed) break;
    }
    boost::system::error_code ignored;  // the peer may be gone
    if (up)
        both->outer.shutdown(asio::socket_base::shutdown_send, ignored);
    else
        both->close();
}

asio::awaitable<void> registry_proxy::serve(std::shared_ptr<link> both)
{
    const async::stop_callback on_stop{stop_, [&both](errc) { both->close(); }};
    auto& head = both->from_inner;
    const auto [ec, size] =
        co_await asio::async_read_until(both->inner, asio::dynamic_buffer(head, largest_head), "\r\n\r\n", one_by_one);
    if (ec) co_return;
    const std::string_view line = std::string_view{head}.substr(0, head.find("\r\n"));
    const auto space = line.find(' ');
    const auto second = line.rfind(' ');
    if (space == std::string_view::npos || second <= space || !line.substr(second + 1).starts_with("HTTP/1.")) {
        co_await answer(*both, "400 Bad Request");
        co_return;
    }
    const auto method = line.substr(0, space);
    const auto target = line.substr(space + 1, second - space - 1);
    origin wanted;
    bool understood = false;
    std::string path;
    if (method == "CONNECT") {
        understood = read_authority(target, 443, wanted);
    } else if ((method == "GET" || method == "HEAD") && target.starts_with("http://")) {
        const auto rest = target.substr(7);
        const auto slash = std::min(rest.find_first_of("/?#"), rest.size());
        wanted.tls = false;
        understood = read_authority(rest.substr(0, slash), 80, wanted);
        path = rest.substr(slash);
        if (!path.starts_with('/')) path.insert(0, "/");
    }
    if (!understood || std::ranges::find(settings_.allowed, wanted) == settings_.allowed.end()) {
        const auto place = to_valid_utf8(std::string{understood ? wanted.text() : std::string{target.substr(0, 200)}});
        if (refused_.empty()) refused_ = place;
        refusals_.add();
        log::warning("refused an install's connection to a place other than the registry", {{"place", place}});
        co_await answer(*both, "403 Forbidden");
        co_return;
    }
    const auto dialled = co_await dial(*both, wanted);
    if (!dialled) {
        log::warning("cannot make an install's connection", {{"cause", dialled.error().message}});
        co_await answer(*both, "502 Bad Gateway");
        co_return;
    }
    const auto name = wanted.text().substr(wanted.text().find("//") + 2);
    if (method == "CONNECT") {
        static constexpr std::string_view connected = "HTTP/1.1 200 Connection established\r\n\r\n";
        const auto [write_ec, sent] = co_await asio::async_write(both->inner, asio::buffer(connected), one_by_one);
        static_cast<void>(sent);
        if (write_ec) co_return;
        // Bytes after the request already belong to the tunnel.
        const auto first = head.substr(size);
        const auto [first_ec, passed] = co_await asio::async_write(both->outer, asio::buffer(first), one_by_one);
        static_cast<void>(passed);
        if (first_ec) co_return;
        tasks_.spawn("a connection of an install, upwards", pump(both, true));
        co_await pump(both, false);
        co_return;
    }
    std::string request{method};
    std::string authorization;
    if (settings_.proxy.empty()) {
        request += " " + path;
    } else {
        request += " " + wanted.text() + path;
        if (const auto proxy = parse_registry_url(settings_.proxy); proxy && !proxy->user_info.empty())
            authorization = "Proxy-Authorization: Basic " + credentials(proxy->user_info) + "\r\n";
    }
    request += " HTTP/1.1\r\nHost: " + name + "\r\n" + authorization;
    request += kept_fields(std::string_view{head}.substr(0, size), true) + "Connection: close\r\n\r\n";
    const auto [write_ec, sent] = co_await asio::async_write(both->outer, asio::buffer(request), one_by_one);
    static_cast<void>(sent);
    std::string reply;
    const auto [read_ec, reply_size] =
        co_await asio::async_read_until(both->outer, asio::dynamic_buffer(reply, largest_head), "\r\n\r\n", one_by_one);
    if (write_ec || read_ec) co_return;
    auto told = reply.substr(0, reply.find("\r\n") + 2) +
                kept_fields(std::string_view{reply}.substr(0, reply_size), false) + "Connection: close\r\n\r\n";
    told += reply.substr(reply_size);
    const auto [told_ec, passed] = co_await asio::async_write(both->inner, asio::buffer(told), one_by_one);
    static_cast<void>(passed);
    if (told_ec) co_return;
    co_await pump(both, false);
}

}  // namespace sandboxd::faas
