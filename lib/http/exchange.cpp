#include "http/exchange.hpp"

#include "http/server.hpp"
#include "http/session.hpp"

namespace sandboxd::http {

namespace asio = boost::asio;

namespace {

bool sane_id(std::string_view id)
{
    if (id.empty() || id.size() > 128) return false;
    for (const char c : id) {
        const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                          c == '-' || c == '_' || c == '.' || c == ':' || c == '/' || c == '+' || c == '=';
        if (!fine) return false;
    }
    return true;
}

// The path of an origin-form or absolute-form target (RFC 9112 3.2), the query cut off.
std::pair<std::string_view, std::string_view> split_target(std::string_view target)
{
    if (!target.starts_with('/') && target != "*") {
        const auto authority = target.find("//");
        const auto slash = target.find('/', authority == std::string_view::npos ? 0 : authority + 2);
        target = slash == std::string_view::npos ? std::string_view{"/"} : target.substr(slash);
    }
    const auto mark = target.find('?');
    if (mark == std::string_view::npos) return {target, {}};
    return {target.substr(0, mark), target.substr(mark + 1)};
}

}  // namespace

exchange::exchange(session& owner) : session_{owner}
{
    if (!session_.parser_) {
        request_id_ = session_.server_.next_request_id();
        return;
    }
    const auto& header = session_.parser_->get();
    const auto target = header.target();
    std::tie(path_, query_) = split_target({target.data(), target.size()});
    const auto given = (*this)["X-Request-Id"];
    request_id_ = sane_id(given) ? std::string{given} : session_.server_.next_request_id();
}

verb exchange::method() const noexcept { return session_.parser_->get().method(); }

std::string_view exchange::operator[](field name) const
{
    const auto value = session_.parser_->get()[name];
    return {value.data(), value.size()};
}

std::string_view exchange::operator[](std::string_view name) const
{
    const auto value = session_.parser_->get()[boost::beast::string_view{name.data(), name.size()}];
    return {value.data(), value.size()};
}

asio::awaitable<result<std::size_t>> exchange::read_some(std::span<char> into)
{
    if (auto wrong = co_await session_.prepare_body()) co_return std::move(*wrong);
    co_return co_await session_.read_body_some(into);
}

asio::awaitable<result<std::string>> exchange::read_body(std::size_t max_bytes)
{
    const auto too_large = [max_bytes] {
        return error{errc::payload_too_large,
                     "the body is larger than " + std::to_string(max_bytes) + " bytes (http.maxBodyBytes)"};
    };
    const auto announced = session_.parser_->content_length();
    if (announced && *announced > max_bytes) co_return too_large();
    if (auto wrong = co_await session_.prepare_body()) co_return std::move(*wrong);

    std::string body;
    // Grows with what has arrived, not with what was announced.
    constexpr std::size_t step = 16 * 1024;
    for (;;) {
        const auto had = body.size();
        if (had > max_bytes) co_return too_large();
        body.resize(had + (announced ? std::min<std::size_t>(step, *announced - had + 1) : step));
        const auto got = co_await session_.read_body_some(std::span<char>{body}.subspan(had));
        if (!got) co_return got.error();
        body.resize(had + *got);
        if (*got == 0) co_return body;
    }
}

void exchange::watch_disconnect()
{
    if (session_.watch_done_) return;
    session_.watch_done_ = std::make_shared<async::event>(session_.socket_.get_executor());
    session_.server_.tasks_.spawn("watch for disconnect", session_.watch());
}

void exchange::note_timing(std::string_view name, std::chrono::microseconds spent)
{
    timings_.emplace_back(name, spent);
}

std::optional<std::chrono::microseconds> exchange::timing(std::string_view name) const
{
    for (const auto& [known, spent] : timings_) {
        if (known == name) return spent;
    }
    return std::nullopt;
}

}  // namespace sandboxd::http
