#include "api/once.hpp"

#include "api/job_answers.hpp"
#include "api/reply.hpp"
#include "async/turns.hpp"
#include "base/digest.hpp"
#include "http/event_stream.hpp"
#include "http/field_text.hpp"
#include "jobs/answer_store.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace sandboxd::api {

namespace asio = boost::asio;

namespace {

constexpr std::string_view key_field = "Idempotency-Key";
constexpr std::size_t longest_key = 255;
// No connection is kept without a word for longer.
constexpr std::chrono::seconds longest_wait{60};

waiting_preference preference_of(const http::exchange& x)
{
    waiting_preference wanted;
    const auto lines = x.fields().equal_range("Prefer");
    for (auto one = lines.first; one != lines.second; ++one)
        read_preference({one->value().data(), one->value().size()}, wanted);
    return wanted;
}

asio::awaitable<http::response> answer_as_asked(services& with, http::exchange& x, posted row)
{
    if (with.jobs && row.may_wait && with.jobs->enabled()) {
        const auto wanted = preference_of(x);
        if (wanted.respond_async) co_return co_await answer_later(with, x, row, wanted);
    }
    if (with.jobs && row.tells && http::wanted_stream(x[http::field::accept]) == http::stream_form::events)
        co_return co_await stream_progress(with, x, row);
    co_return co_await row.handle(with, x);
}

// Of whom a key is: the tenant, wherever he asks from and however the field with his key is spelt; without tenants the
// client, and what tells clients behind one proxy apart.
sha256_digest scope_of(const http::exchange& x, std::string_view key)
{
    sha256 made;
    if (const auto* const who = x.tenant()) {
        made.field("tenant");
        made.field(who->name);
    } else {
        const auto& client = x.client();
        made.field({reinterpret_cast<const char*>(client.data()), client.size()});
        made.field(x.from().local ? "unix" : "tcp");
        made.field(x[http::field::authorization]);
    }
    made.field(key);
    return made.finish();
}

// All that makes two requests the same one. In turns: the body may be large.
asio::awaitable<sha256_digest> digest_of_request(const http::exchange& x, std::string_view body)
{
    constexpr std::size_t at_once = 64 * 1024;
    sha256 made;
    made.field(x.path());
    made.field(x.query());
    made.field(x[http::field::content_type]);
    const auto form = http::wanted_stream(x[http::field::accept]);
    made.field(form == http::stream_form::events ? "events" : form == http::stream_form::json_lines ? "lines" : "");
    made.field(preference_of(x).respond_async ? "async" : "");
    made.field(std::to_string(body.size()));
    async::turns turn;
    while (!body.empty()) {
        made.update(body.substr(0, at_once));
        body.remove_prefix(std::min(at_once, body.size()));
        if (turn.over()) co_await turn.rest();
    }
    co_return made.finish();
}

http::response repeated(http::response answer)
{
    answer.fields.emplace_back("Idempotency-Replayed", "true");
    return answer;
}

asio::awaitable<http::response> answer_once(services& with, http::exchange& x, posted row)
{
    const auto key = idempotency_key(x[key_field]);
    if (!key || x.fields().count(boost::beast::string_view{key_field.data(), key_field.size()}) != 1)
        co_return row.refuse(
            invalid_request("Idempotency-Key must be sent once, as a string of 1 to 255 visible "
                            "characters: Idempotency-Key: \"8e03978e-40d5-43dd-bc93-6894a57f9324\""));
    auto body = co_await x.read_body(with.max_body_bytes);
    if (!body) co_return row.refuse(body.error());
    const auto request = co_await digest_of_request(x, *body);
    auto found = with.answers->find(x.client(), scope_of(x, *key), request);
    using state = jobs::answer_store::state;
    switch (found.what) {
        case state::fresh: break;
        case state::kept: co_return repeated(std::move(found.answer));
        case state::not_kept:
            co_return row.refuse({errc::conflict,
                                  "the request with this Idempotency-Key was done, but its answer was too large to be "
                                  "kept (idempotency.maxAnswersMB)"});
        case state::under_way:
            co_return row.refuse(
                {errc::conflict, "the request with this Idempotency-Key is still under way; try again later"});
        case state::other_request: co_return row.refuse(make_error(errc::idempotency_key_reused));
        case state::full:
            co_return row.refuse(
                {errc::queue_full, "too many requests with an Idempotency-Key are under way; try again later"});
    }
    x.put_back_body(std::move(*body));
    http::exchange::recording said{.most = found.mine->most()};
    x.record(said);
    auto answer = co_await answer_as_asked(with, x, row);
    if (!x.begun()) {
        if (!answer.is_for_now && !says_not_now(answer.status)) found.mine->keep(answer);
        co_return answer;
    }
    // A stream that its client did not hear to its end is not an answer: its work has ended with it.
    if (said.is_whole && !x.stop().requested() && !answer.is_for_now) {
        http::response stream;
        stream.content_type = said.content_type;
        stream.fields.emplace_back("Cache-Control", "no-store");
        if (said.is_cut) {
            stream.body = std::string(found.mine->most() + 1, '\0');  // what is too large is remembered as given
        } else {
            stream.body = std::move(said.body);
        }
        found.mine->keep(std::move(stream));
    }
    co_return answer;
}

}  // namespace

std::optional<std::string> idempotency_key(std::string_view field)
{
    field = http::trim(field);
    std::string key;
    if (field.starts_with('"')) {
        if (field.size() < 2 || !field.ends_with('"')) return std::nullopt;
        field = field.substr(1, field.size() - 2);
        for (std::size_t i = 0; i < field.size(); ++i) {
            if (field[i] == '"') return std::nullopt;
            if (field[i] == '\\') {
                ++i;
                if (i == field.size() || (field[i] != '"' && field[i] != '\\')) return std::nullopt;
            }
            key += field[i];
        }
    } else {
        if (field.find_first_of(" ,;\"") != std::string_view::npos) return std::nullopt;
        key = field;
    }
    const bool visible = std::ranges::all_of(key, [](char c) { return c >= 0x20 && c < 0x7f; });
    if (key.empty() || key.size() > longest_key || !visible) return std::nullopt;
    return key;
}

void read_preference(std::string_view field, waiting_preference& into)
{
    while (!field.empty()) {
        const auto end = field.find(',');
        auto one = field.substr(0, end);
        field.remove_prefix(end == std::string_view::npos ? field.size() : end + 1);
        one = http::trim(one.substr(0, one.find(';')));
        const auto equals = one.find('=');
        const auto name = http::trim(one.substr(0, equals));
        if (same_word(name, "respond-async")) into.respond_async = true;
        if (!same_word(name, "wait") || equals == std::string_view::npos || into.wait.count() > 0) continue;
        auto value = http::trim(one.substr(equals + 1));
        if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"'))
            value = value.substr(1, value.size() - 2);
        std::uint32_t seconds = 0;
        const auto [at, ec] = std::from_chars(value.data(), value.data() + value.size(), seconds);
        if (ec == std::errc{} && at == value.data() + value.size())
            into.wait = std::min(std::chrono::seconds{seconds}, longest_wait);
    }
}

asio::awaitable<http::response> answer_post(services& with, http::exchange& x, posted row)
{
    // No field line is not the same as an empty one, which is a mistake.
    const bool has_key = x.fields().count(boost::beast::string_view{key_field.data(), key_field.size()}) > 0;
    if (with.answers && has_key && row.keeps) return answer_once(with, x, row);
    return answer_as_asked(with, x, row);
}

}  // namespace sandboxd::api
