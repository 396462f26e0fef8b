#include "cluster/redis_url.hpp"

#include "base/ascii.hpp"
#include "base/text.hpp"
#include "remote/service_url.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace sandboxd::cluster {

using transport = redis_url::transport;

namespace {

constexpr std::size_t longest_url = 1024;
constexpr std::size_t longest_socket_path = 107;  // sockaddr_un
constexpr unsigned most_databases = 65'536;
constexpr std::uint16_t usual_port = 6379;

bool is_printable(std::string_view text)
{
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

// Nothing that a URL has to escape.
bool is_plain(std::string_view text)
{
    return std::ranges::all_of(
        text, [](char c) { return is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~'; });
}

std::optional<unsigned> read_database(std::string_view text)
{
    unsigned number = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc{} || end != text.data() + text.size() || number >= most_databases) return std::nullopt;
    return number;
}

}  // namespace

std::string redis_url::text() const
{
    const auto at = user.empty() ? std::string{} : user + "@";
    if (by == transport::local) return "unix://" + at + path;
    auto made = (by == transport::tls ? "rediss://" : "redis://") + at;
    made += host.find(':') != std::string::npos ? "[" + host + "]" : host;
    if (port != usual_port) made += ":" + std::to_string(port);
    if (database != 0) made += "/" + std::to_string(database);
    return made;
}

bool redis_url::is_private() const { return by != transport::tcp || remote::is_loopback(host); }

result<redis_url> parse_redis_url(std::string_view url)
{
    const auto scheme_end = url.find("://");
    auto rest = scheme_end == std::string_view::npos ? std::string_view{} : url.substr(scheme_end + 3);
    const auto authority = rest.substr(0, rest.find('/'));
    const auto at = authority.rfind('@');
    const auto user = at == std::string_view::npos ? std::string_view{} : authority.substr(0, at);
    // Not shown: it has a password.
    if (user.find_first_of(":@") != std::string_view::npos || (at != std::string_view::npos && !is_plain(user)))
        return invalid_request(
            "the URL has a password, or a user of other than letters, digits and -._~; put the password into the file "
            "that cluster.redisCredentialFile names");
    const auto wrong = [&](const std::string& why) { return invalid_request(in_quotes(url) + " " + why); };
    if (at != std::string_view::npos && user.empty()) return wrong("has an empty user");
    if (url.size() > longest_url) return wrong("is too long");
    if (!is_printable(url)) return wrong("holds a blank or a character that is not ASCII");

    redis_url made;
    made.user = user;
    const auto scheme = url.substr(0, scheme_end == std::string_view::npos ? 0 : scheme_end);
    rest.remove_prefix(at == std::string_view::npos ? 0 : at + 1);
    if (scheme == "unix") {
        made.by = transport::local;
        made.port = 0;
        if (!rest.starts_with('/')) return wrong("does not name a socket by its absolute path: unix:///run/redis.sock");
        if (rest.size() > longest_socket_path || rest.ends_with('/') ||
            rest.find_first_of("?#%") != std::string_view::npos)
            return wrong("does not name a socket by a plain path of at most 107 bytes");
        made.path = rest;
        return made;
    }
    if (scheme == "rediss")
        made.by = transport::tls;
    else if (scheme != "redis")
        return wrong("does not begin with redis://, rediss:// or unix://");
    auto where = remote::read_authority(rest.substr(0, rest.find_first_of("/?#")), usual_port);
    if (!where) return wrong("does not name a host, and a port from 1 to 65535 if any");
    made.host = std::move(where->host);
    made.port = where->port;
    rest.remove_prefix(std::min(rest.size(), rest.find_first_of("/?#")));
    if (rest.empty() || rest == "/") return made;
    const auto database = rest.front() == '/' ? read_database(rest.substr(1)) : std::nullopt;
    if (!database) return wrong("has something after the host that is not the number of a database");
    made.database = *database;
    return made;
}

credential credential_of(std::string line, const redis_url& where)
{
    if (!where.user.empty()) return {.user = where.user, .password = std::move(line)};
    const auto colon = line.find(':');
    if (colon == std::string::npos) return {.user = {}, .password = std::move(line)};
    return {.user = line.substr(0, colon), .password = line.substr(colon + 1)};
}

}  // namespace sandboxd::cluster
