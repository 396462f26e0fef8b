#include "api/execution_stream.hpp"

#include "base/utf8.hpp"

#include <boost/json/serialize.hpp>

#include <utility>

namespace sandboxd::api {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::array<std::string_view, 2> names{"stdout", "stderr"};

// RFC 3629: the length of a character with this first byte; 1 for a byte that begins none.
std::size_t length_of(unsigned char lead) noexcept
{
    return lead >= 0xf0 && lead <= 0xf4 ? 4 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xc2 && lead < 0xe0 ? 2 : 1;
}

}  // namespace

std::size_t unfinished_utf8(std::string_view text) noexcept
{
    for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
        const auto byte = static_cast<unsigned char>(text[text.size() - back]);
        if ((byte & 0xc0) != 0x80) return length_of(byte) > back ? back : 0;
    }
    return 0;
}

void execution_stream::add(std::string_view name, json::object what)
{
    if (form_ == http::stream_form::events) {
        http::append_event(pending_, {}, name, json::serialize(what));
        return;
    }
    json::object line{{"event", name}};
    for (auto& member : what) line.emplace(member.key(), std::move(member.value()));
    pending_ += json::serialize(line) + '\n';
}

void execution_stream::add_output(std::size_t which, std::string_view text)
{
    if (!text.empty()) add(names[which], {{"text", to_valid_utf8(text)}});
}

asio::awaitable<void> execution_stream::take(process::output_stream which, std::string_view piece)
{
    const std::size_t index = which == process::output_stream::out ? 0 : 1;
    auto text = std::move(rest_[index]);
    text += piece;
    const auto whole = text.size() - unfinished_utf8(text);
    rest_[index] = text.substr(whole);
    add_output(index, std::string_view{text}.substr(0, whole));
    // Two streams share one connection: while one writes, the other leaves its output to it and does not wait.
    if (writing_) co_return;
    writing_ = true;
    if (!x_.begun()) x_.begin(http::stream_head(form_));
    while (!pending_.empty()) {
        const auto now = std::exchange(pending_, {});
        // If the client is gone, the exchange's `stop` ends the execution.
        if (!co_await x_.write(now)) break;
    }
    writing_ = false;
}

asio::awaitable<void> execution_stream::end(std::string_view name, json::object what)
{
    if (!x_.begun()) x_.begin(http::stream_head(form_));
    for (std::size_t i = 0; i < rest_.size(); ++i) add_output(i, rest_[i]);
    add(name, std::move(what));
    co_await x_.finish(pending_);
}

}  // namespace sandboxd::api
