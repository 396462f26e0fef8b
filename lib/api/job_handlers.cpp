#include "api/handlers.hpp"
#include "api/job_answers.hpp"
#include "api/ownership.hpp"
#include "api/reply.hpp"
#include "api/timestamp.hpp"
#include "base/log.hpp"
#include "http/event_stream.hpp"
#include "http/router.hpp"
#include "telemetry/tracer.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <exception>
#include <utility>

namespace sandboxd::api {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

// How often a silent stream sends something, so that no proxy considers it dead.
constexpr std::chrono::seconds event_heartbeat{15};
constexpr std::size_t events_at_once = 64 * 1024;
// A longer answer is not copied to be sent in one piece.
constexpr std::size_t short_answer = 64 * 1024;

// The work of a job: the handler, with the request but without its connection.
asio::awaitable<http::response> answer_apart(services& with, std::shared_ptr<http::exchange> x, posted row,
                                             jobs::job& mine)
{
    const async::stop_callback chain{mine.stop(), [&x](errc cause) { x->stop().request(cause); }};
    x->set_follower([&mine](std::string_view name, const std::string& data) { mine.tell(name, data); });
    if (!row.tells) mine.tell("started", "{}");
    http::response r;
    std::string thrown;
    try {
        r = co_await row.handle(with, *x);
    } catch (const std::exception& e) {
        thrown = std::string{"a handler threw: "} + e.what();
    }
    x->set_follower({});
    if (!thrown.empty()) {
        r = row.refuse(make_error(errc::internal));
        r.cause = std::move(thrown);
    }
    if (!with.jobs->admits_answer(r.body_bytes()))
        r = row.refuse({errc::output_limit,
                        "the answer is longer than a job's may be, a quarter of asyncJobs.maxTotalMB; lower the limit "
                        "of the output, or send the request without Prefer"});
    else if (!with.jobs->has_room_for_answer(mine, r.body_bytes()))
        r = row.refuse({errc::queue_full,
                        "there is no room for this answer beside those that their clients have not read yet "
                        "(asyncJobs.maxTotalMB, of which a client has at most half); read faster, or try again later"});
    if (r.status == 500 || !r.cause.empty())
        log::error("internal error", {{"id", x->request_id()},
                                      {"route", x->route()},
                                      {"cause", r.cause},
                                      log::in_json("trace_id", x->trace_id())});
    telemetry::fail(*x, r.error_code);
    telemetry::end_part(*x);
    co_return r;
}

// The request without its connection.
std::shared_ptr<http::exchange> apart_from(const http::exchange& x, std::string body, const posted& row)
{
    auto apart = std::make_shared<http::exchange>(x, std::move(body));
    http::match_pattern(row.pattern, apart->path(), *apart);
    apart->set_route(row.pattern, x.row().value_or(0));
    telemetry::begin_part(x, *apart, "job");
    return apart;
}

jobs::job_list::work work_of(services& with, std::shared_ptr<http::exchange> apart, posted row)
{
    return [&with, apart = std::move(apart), row](jobs::job& mine) { return answer_apart(with, apart, row, mine); };
}

std::string place_of(const jobs::job& one) { return "/jobs/" + one.id(); }

std::string_view status_of_job(const jobs::job& one)
{
    return one.is_over() ? "done" : one.phase() == "queued" ? "queued" : "running";
}

json::object describe_job(const jobs::job& one)
{
    return {{"id", one.id()},
            {"status", status_of_job(one)},
            {"url", place_of(one)},
            {"request", one.path()},
            {"created_at", timestamp(one.created())}};
}

http::response under_way(const jobs::job& one)
{
    auto r = json_reply(202, describe_job(one));
    r.fields.emplace_back("Retry-After", "1");
    return r;
}

// The event that ends a job's stream.
asio::awaitable<bool> send_end(http::exchange& x, const http::response& answer, std::string id)
{
    const auto [head, body, tail] = tell_answer(answer);
    std::string text;
    // What has line ends is data of several lines.
    if (body.size() <= short_answer || body.find_first_of("\r\n") != std::string_view::npos) {
        http::append_event(text, id, "done", head + std::string{body} + std::string{tail});
        const auto ended = co_await x.finish(text);
        co_return ended.has_value();
    }
    text.append("id: ").append(id).append("\nevent: done\ndata: ").append(head);
    if (const auto sent = co_await x.write(text); !sent) co_return false;
    if (const auto sent = co_await x.write(body); !sent) co_return false;
    const auto ended = co_await x.finish(std::string{tail} + "\n\n");
    co_return ended.has_value();
}

// The same as a document. A long one is sent in pieces; of it HEAD needs the length alone.
asio::awaitable<http::response> send_answer(http::exchange& x, std::shared_ptr<jobs::job> of)
{
    auto [head, body, tail] = tell_answer(*of->answer());
    auto text = json::serialize(describe_job(*of));
    text.back() = ',';
    text.append(R"("answer":)").append(head);
    const auto last = std::string{tail} + "}\n";
    auto r = json_reply(200, std::string{});
    const bool is_asked_for = x.method() != http::verb::head;
    if (is_asked_for && body.size() <= short_answer) {
        of->mark_told();
        r.body = text.append(body).append(last);
        co_return r;
    }
    x.begin(r, text.size() + body.size() + last.size());
    auto sent = co_await x.write(text);
    if (sent) sent = co_await x.write(body);
    if (sent) sent = co_await x.finish(last);
    if (sent && is_asked_for) of->mark_told();
    co_return http::response{};
}

// Streams the events behind the first `known` ones and the end. False when the client has gone, or must go.
asio::awaitable<bool> send_events(http::exchange& x, jobs::job& of, std::size_t known)
{
    std::string text;
    while (!x.stop().requested()) {
        const auto& events = of.events();
        while (known < events.size() && text.size() < events_at_once) text += events[known++];
        if (text.empty() && of.is_over()) {
            const auto told = co_await send_end(x, *of.answer(), std::to_string(known + 1));
            if (told) of.mark_told();
            co_return told;
        }
        if (text.empty() && !co_await of.news(known, event_heartbeat, x.stop())) text = http::event_keep_alive;
        if (text.empty()) continue;
        if (const auto sent = co_await x.write(text); !sent) co_return false;
        text.clear();
    }
    co_return false;
}

// Null: there is none, or it is not this client's.
std::shared_ptr<jobs::job> own_job(const services& with, const http::exchange& x)
{
    auto found = with.jobs ? with.jobs->find(x.param(0)) : nullptr;
    // No scope stands for what a job was asked for, so `admin` opens none of others.
    return found && (!with.keys || found->owner() == owner_of(x)) ? found : nullptr;
}

error no_such_job() { return {errc::not_found, "there is no such job; answers are kept for asyncJobs.ttlSecs"}; }

}  // namespace

void note_timings_of(const http::exchange& apart, http::exchange& x)
{
    for (const auto& [name, spent] : apart.timings()) x.note_timing(name, spent);
}

told_answer tell_answer(const http::response& answer)
{
    auto body = answer.text();
    while (body.ends_with('\n')) body.remove_suffix(1);
    return {.head = R"({"status":)" + std::to_string(answer.status) + R"(,"answer":)",
            .body = body.empty() ? std::string_view{"null"} : body,
            .tail = "}"};
}

asio::awaitable<http::response> answer_later(services& with, http::exchange& x, posted row, waiting_preference how)
{
    auto body = co_await x.read_body(with.max_body_bytes);
    if (!body) co_return row.refuse(body.error());
    const auto bytes = body->size();
    const auto apart = apart_from(x, std::move(*body), row);
    auto made = with.jobs->start(x.client(), std::string{x.path()}, bytes, work_of(with, apart, row), owner_of(x));
    if (!made) co_return row.refuse(made.error());
    auto mine = std::move(*made);
    if (how.wait.count() > 0) {
        x.watch_disconnect();
        const auto until = std::chrono::steady_clock::now() + how.wait;
        std::size_t known = 0;
        while (!mine->is_over() && !x.stop().requested()) {
            const auto left = until - std::chrono::steady_clock::now();
            if (left.count() <= 0) break;
            known = mine->events().size();
            co_await mine->news(known, left, x.stop());
        }
        if (mine->is_over()) {
            auto answer = *mine->answer();
            note_timings_of(*apart, x);
            co_await with.jobs->remove(mine);
            co_return answer;
        }
    }
    auto r = under_way(*mine);
    r.fields.emplace_back("Location", place_of(*mine));
    r.fields.emplace_back("Preference-Applied", "respond-async");
    co_return r;
}

asio::awaitable<http::response> stream_progress(services& with, http::exchange& x, posted row)
{
    auto body = co_await x.read_body(with.max_body_bytes);
    if (!body) co_return row.refuse(body.error());
    x.watch_disconnect();
    const auto apart = apart_from(x, std::move(*body), row);
    auto mine = with.jobs->start_unlisted(x.client(), std::string{x.path()}, work_of(with, apart, row));
    x.begin(http::stream_head(http::stream_form::events));
    const bool sent = co_await send_events(x, *mine, 0);
    if (!sent) {
        mine->stop().request(x.stop().requested() ? x.stop().cause() : errc::disconnected);
        co_await mine->ended();
        x.cut();
    }
    note_timings_of(*apart, x);
    http::response told;
    if (const auto* const answer = mine->answer()) told.is_for_now = says_not_now(answer->status);
    co_return told;
}

asio::awaitable<http::response> get_job(services& with, http::exchange& x)
{
    const auto found = own_job(with, x);
    if (!found) co_return error_reply(no_such_job());
    if (http::wanted_stream(x[http::field::accept]) != http::stream_form::events) {
        if (!found->is_over()) co_return under_way(*found);
        co_return co_await send_answer(x, found);
    }
    const auto known = http::last_event_id(x["Last-Event-ID"]).value_or(0);
    // A reader that has heard the end comes again; 204 tells it to stay away.
    if (found->is_over() && known > found->events().size()) {
        http::response nothing;
        nothing.status = 204;
        co_return nothing;
    }
    if (!with.jobs->admits_follower(*found))
        co_return error_reply(
            {errc::too_many_requests,
             "this job has asyncJobs.maxFollowersPerJob event streams already; poll it, or close one"});
    const jobs::job::follower follows{found};
    x.watch_disconnect();
    x.begin(http::stream_head(http::stream_form::events));
    if (const auto begun = co_await x.flush(); !begun) co_return http::response{};
    const bool sent = co_await send_events(x, *found, std::min<std::size_t>(known, found->events().size()));
    if (!sent) x.cut();
    co_return http::response{};
}

asio::awaitable<http::response> delete_job(services& with, http::exchange& x)
{
    const auto found = own_job(with, x);
    if (!found) co_return error_reply(no_such_job());
    co_await with.jobs->remove(found);
    http::response r;
    r.status = 204;
    co_return r;
}

}  // namespace sandboxd::api
