#include "api/faas_request.hpp"
#include "api/handlers.hpp"
#include "api/media_type.hpp"
#include "api/own_limits.hpp"
#include "api/ownership.hpp"
#include "api/reply.hpp"
#include "api/timestamp.hpp"
#include "api/to_owner.hpp"
#include "http/event_stream.hpp"
#include "http/field_text.hpp"
#include "http/uri.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <charconv>
#include <iterator>
#include <optional>

namespace sandboxd::api {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

// Of one answer: who wants more asks again behind the last one (`after`), or follows. The log has faas.logBytes.
constexpr std::size_t most_log_lines = 1'000;
constexpr std::size_t usual_log_lines = 100;
// How often a silent stream sends something, so that no proxy considers it dead.
constexpr std::chrono::seconds log_keep_alive{15};

error no_deployments_here()
{
    return {errc::unavailable,
            "this server hosts no deployments: faas.enabled is false, or its jail is 'none' or gVisor"};
}

error no_such_deployment() { return {errc::not_found, "there is no such deployment"}; }

std::string url_of(const services& with, const http::exchange& x, const std::string& id)
{
    const auto host = x[http::field::host];
    if (!with.base_domain.empty()) {
        // The scheme and port by which clients reach this server.
        const std::string_view known = with.public_url.empty() ? host : std::string_view{with.public_url};
        const auto scheme = known.starts_with("https://") ? "https://" : "http://";
        const auto colon = known.rfind(':');
        const bool port = colon != std::string_view::npos && colon + 1 < known.size() &&
                          known.find_first_not_of("0123456789", colon + 1) == std::string_view::npos;
        return scheme + id + "." + with.base_domain + (port ? std::string{known.substr(colon)} : std::string{}) + "/";
    }
    if (!with.public_url.empty()) return with.public_url + "/faas/" + id;
    return http::is_authority(host) ? "http://" + std::string{host} + "/faas/" + id : "/faas/" + id;
}

// An integer if possible: JSON would otherwise write 1E1.
json::value minutes(std::chrono::milliseconds time)
{
    if (time.count() % 60'000 == 0) return time.count() / 60'000;
    return static_cast<double>(time.count()) / 60'000;
}

json::object to_json(const services& with, const http::exchange& x, const faas::deployment_info& info)
{
    json::object made{{"deployment_id", info.id},
                      {"url", url_of(with, x, info.id)},
                      {"sandbox_id", info.sandbox_id},
                      {"status", faas::name(info.status)},
                      {"runtime", info.runtime},
                      {"entry_point", info.entry_point},
                      {"created_at", timestamp(std::chrono::system_clock::from_time_t(info.created))},
                      {"memory_limit_mb", info.memory_mb},
                      {"scale_down_after_minutes", minutes(info.idle)},
                      {"auto_scale", json::object{{"scale_down_after_minutes", minutes(info.idle)},
                                                  {"max_instances", info.max_instances}}},
                      {"starts", info.starts},
                      {"restarts", info.restarts},
                      {"active_requests", info.requests},
                      {"log_id", info.log_id},
                      {"logs_url", "/faas/deployments/" + info.id + "/logs"}};
    if (!info.message.empty()) made["message"] = info.message;
    if (!info.last_exit.empty()) made["last_exit"] = info.last_exit;
    if (info.next_start_in) made["next_start_in_ms"] = info.next_start_in->count();
    if (info.revision > 0) made["revision"] = info.revision;
    if (info.revision > 0) made["instances"] = info.instances;
    return made;
}

void add_etag(http::response& to, const faas::deployment_info& info)
{
    if (info.revision > 0) to.fields.emplace_back("ETag", '"' + std::to_string(info.revision) + '"');
}

// The revision that If-Match names (RFC 9110 13.1.1); nullopt: none, or any. A text that is no revision matches none.
result<std::optional<std::uint64_t>> wanted_revision(const http::exchange& x)
{
    std::optional<std::uint64_t> none;
    const auto [first, last] = x.fields().equal_range(http::field::if_match);
    if (first == last) return none;
    const std::string_view value{first->value().data(), first->value().size()};
    const auto text = http::trim(value);
    if (std::next(first) != last || text.find(',') != std::string_view::npos)
        return invalid_request("If-Match must come once, with one revision, as ETag has it, or '*'");
    if (text == "*") return none;
    std::uint64_t revision = 0;
    const auto number = text.size() > 2 ? text.substr(1, text.size() - 2) : std::string_view{};
    const auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), revision);
    if (!text.starts_with('"') || !text.ends_with('"') || number.empty() || ec != std::errc{} ||
        end != number.data() + number.size())
        revision = 0;  // no deployment is of it
    return std::optional{revision};
}

// Whether the request is answered already, by the server that runs the deployment; else why it is not.
asio::awaitable<std::optional<http::response>> answer_of_owner(services& with, http::exchange& x, std::string id)
{
    const auto gone_there = co_await pass_to_owner(with, x, std::move(id), errand::owner);
    if (gone_there && *gone_there == passed::answered) co_return http::response{};
    if (gone_there) co_return std::nullopt;
    const auto& why = gone_there.error();
    co_return error_reply(why.code == errc::not_found ? no_such_deployment() : why);
}

// `name=number` of a query; nullopt when it is missing or not a number.
std::optional<std::uint64_t> query_number(std::string_view query, std::string_view name)
{
    while (!query.empty()) {
        const auto end = std::min(query.find('&'), query.size());
        const auto one = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        if (!one.starts_with(name) || one.size() <= name.size() || one[name.size()] != '=') continue;
        const auto text = one.substr(name.size() + 1);
        std::uint64_t value = 0;
        const auto [at, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (ec == std::errc{} && at == text.data() + text.size()) return value;
    }
    return std::nullopt;
}

json::object to_json(const faas::log_line& line)
{
    return {{"id", line.id}, {"time", timestamp(line.time)}, {"stream", faas::name(line.source)}, {"text", line.text}};
}

std::string rendered(const faas::log_line& line) { return json::serialize(to_json(line)); }

}  // namespace

asio::awaitable<http::response> post_deploy(services& with, http::exchange& x)
{
    if (!with.faas) co_return error_reply(no_deployments_here());
    if (!x.body_done() && !is_json(x[http::field::content_type]))
        co_return error_reply(make_error(errc::unsupported_media_type));
    const auto body = co_await x.read_body(with.max_body_bytes);
    if (!body) co_return error_reply(body.error());
    auto asked = read_deploy_request(*body, with.faas_limits);
    if (!asked) co_return error_reply(asked.error());
    const tenants::keeping more{.deployments = 1,
                                .bytes = static_cast<std::int64_t>(asked->code.size()) + bytes_of(asked->files)};
    auto place = co_await take_keeping_place(with, x, more);
    if (place.refused) co_return limited(error_reply(place.refused->why), std::move(*place.refused));
    asked->stored = [&place] { place.mine.arrived(); };
    x.watch_disconnect();
    asked->client = x.client();
    asked->owner = owner_of(x);
    const auto made = co_await with.faas->deploy(std::move(*asked), x.stop());
    if (!made) co_return error_reply(made.error());
    audit(with, x, "create deployment", made->id);
    auto told = to_json(with, x, *made);
    if (made->status == faas::status::running || made->status == faas::status::completed ||
        (made->status == faas::status::starting && !made->fault)) {
        auto r = json_reply(200, told);
        add_etag(r, *made);
        co_return r;
    }
    // The deployment exists, with its log, but does not run.
    const error why{made->fault.value_or(errc::start_failed), made->message};
    co_return error_reply(why, told);
}

asio::awaitable<http::response> get_deployments(services& with, http::exchange& x)
{
    if (!with.faas) co_return error_reply(no_deployments_here());
    auto all = co_await with.faas->list(only_owner(with, x));
    if (!all) co_return error_reply(all.error());
    std::erase_if(*all, [&](const auto& one) { return !is_theirs(with, x, one.owner); });
    std::string told = R"({"deployments":)";
    async::turns turn;
    co_await append_json_list(told, *all, [&](const auto& one) { return to_json(with, x, one); }, turn);
    told.append(R"(,"count":)").append(std::to_string(all->size())) += '}';
    co_return json_reply(200, std::move(told));
}

asio::awaitable<http::response> get_deployment(services& with, http::exchange& x)
{
    if (!with.faas) co_return error_reply(no_deployments_here());
    const auto id = co_await own_deployment(with, x, std::string{x.param(0)});
    if (!id) co_return error_reply(id.error());
    auto found = co_await with.faas->look(*id);
    // The server that runs it knows more than the index.
    if (found && !found->server.empty()) {
        if (auto answered = co_await answer_of_owner(with, x, *id)) co_return std::move(*answered);
        found = co_await with.faas->look(*id);
    }
    if (!found) co_return error_reply(found.error().code == errc::not_found ? no_such_deployment() : found.error());
    auto r = json_reply(200, to_json(with, x, found->info));
    add_etag(r, found->info);
    co_return r;
}

// For the files of a former revision, whose size nobody knows before.
static asio::awaitable<result<void>> take_place_of_former(services& with, const http::exchange& x,
                                                          std::optional<keeping_place>& place, std::uint64_t bytes)
{
    place.emplace(co_await take_keeping_place(with, x, {.bytes = static_cast<std::int64_t>(bytes)}));
    if (place->refused) co_return place->refused->why;
    co_return result<void>{};
}

// An update that was read, of a deployment that is this server's. `count`: how many files it brings.
static asio::awaitable<http::response> update_deployment(services& with, http::exchange& x, std::string id,
                                                         faas::update_request asked, std::optional<std::size_t> count)
{
    if (with.faas->is_shared()) {
        const auto only_if = wanted_revision(x);
        if (!only_if) co_return error_reply(only_if.error());
        asked.only_if = *only_if;
    }
    // What an operator changes for a tenant is the operator's decision.
    const auto whose = with.faas->find(id);
    const bool is_own = whose && whose->owner == owner_of(x);
    const tenants::keeping more{.bytes = bytes_of(asked.files)};
    const auto former = asked.back_to;
    std::optional<keeping_place> place;
    if (is_own && former)
        asked.admit = [&](std::uint64_t bytes) { return take_place_of_former(with, x, place, bytes); };
    else if (is_own)
        place.emplace(co_await take_keeping_place(with, x, more));
    if (place && place->refused) co_return limited(error_reply(place->refused->why), std::move(*place->refused));
    asked.stored = [&place] {
        if (place) place->mine.arrived();
    };
    x.watch_disconnect();
    asked.client = x.client();
    const auto done = co_await with.faas->update(id, std::move(asked), x.stop());
    if (!done && place && place->refused)
        co_return limited(error_reply(place->refused->why), std::move(*place->refused));
    if (!done)
        co_return error_reply(done.error().code == errc::not_found && !former ? no_such_deployment() : done.error());
    audit(with, x, "update deployment", id);
    const auto now = with.faas->find(id);
    if (!now) co_return error_reply(no_such_deployment());
    auto told = to_json(with, x, *now);
    if (count) told["updated_files"] = *count;
    told["restarted"] = done->restarted;
    // The files were updated, but the new program does not run.
    if (done->restart_error) co_return error_reply(*done->restart_error, told);
    auto r = json_reply(200, told);
    add_etag(r, *now);
    co_return r;
}

asio::awaitable<http::response> put_files(services& with, http::exchange& x)
{
    if (!with.faas) co_return error_reply(no_deployments_here());
    if (!x.body_done() && !is_json(x[http::field::content_type]))
        co_return error_reply(make_error(errc::unsupported_media_type));
    const auto id = co_await own_deployment(with, x, std::string{x.param(0)});
    if (!id) co_return error_reply(id.error());
    if (auto answered = co_await answer_of_owner(with, x, *id)) co_return std::move(*answered);
    const auto body = co_await x.read_body(with.max_body_bytes);
    if (!body) co_return error_reply(body.error());
    auto asked = read_files_request(*body, with.faas_limits);
    if (!asked) co_return error_reply(asked.error());
    const auto count = asked->files.size();
    co_return co_await update_deployment(with, x, *id, std::move(*asked), count);
}

asio::awaitable<http::response> put_revision(services& with, http::exchange& x)
{
    if (!with.faas) co_return error_reply(no_deployments_here());
    if (!x.body_done() && !is_json(x[http::field::content_type]))
        co_return error_reply(make_error(errc::unsupported_media_type));
    const auto id = co_await own_deployment(with, x, std::string{x.param(0)});
    if (!id) co_return error_reply(id.error());
    if (auto answered = co_await answer_of_owner(with, x, *id)) co_return std::move(*answered);
    const auto body = co_await x.read_body(with.max_body_bytes);
    if (!body) co_return error_reply(body.error());
    auto asked = read_revision_request(*body, with.faas_limits);
    if (!asked) co_return error_reply(asked.error());
    co_return co_await update_deployment(with, x, *id, std::move(*asked), std::nullopt);
}

asio::awaitable<http::response> delete_deployment(services& with, http::exchange& x)
{
    if (!with.faas) co_return error_reply(no_deployments_here());
    const auto id = co_await own_deployment(with, x, std::string{x.param(0)});
    if (!id) co_return error_reply(id.error());
    const auto gone_there = co_await pass_to_owner(with, x, *id, errand::removal);
    if (!gone_there && gone_there.error().code == errc::not_found) co_return error_reply(no_such_deployment());
    if (!gone_there) co_return error_reply(gone_there.error());
    if (*gone_there == passed::answered) co_return http::response{};
    // Where the request cannot be passed on, the other server sees that it is gone.
    const auto removed = co_await with.faas->remove(*id);
    if (!removed && removed.error().code == errc::not_found) co_return error_reply(no_such_deployment());
    if (!removed && removed.error().code == errc::index_unavailable) co_return error_reply(removed.error());
    // It is gone even where its files are not.
    audit(with, x, "delete deployment", *id);
    if (!removed) co_return error_reply(removed.error());
    http::response r;
    r.status = 204;
    co_return r;
}

// Sends the lines so far, then each new one, until the deployment or the client is gone.
static asio::awaitable<http::response> follow_logs(services& with, http::exchange& x, std::string id,
                                                   http::stream_form form, std::uint64_t after, std::size_t most)
{
    const auto found = with.faas->find(id);
    if (!found) co_return error_reply(no_such_deployment());
    if (most == 0) after = std::max(after, found->log_id);
    x.watch_disconnect();
    x.end_when_draining();
    x.begin(http::stream_head(form));
    std::string text;
    for (;;) {
        const auto news = with.faas->told_logs(id, after, most, rendered);
        if (!news) break;
        for (const auto& [number, told] : news->lines) {
            after = number;
            if (form == http::stream_form::events)
                http::append_event(text, std::to_string(number), {}, *told);
            else
                text.append(*told) += '\n';
        }
        const auto sent = text.empty() ? co_await x.flush() : co_await x.write(text);
        if (!sent) co_return http::response{};
        text.clear();
        most = most_log_lines;
        if (!co_await with.faas->await_log(id, after, log_keep_alive, x.stop())) break;
        // A key that is taken away reads no further.
        if (with.keys && !(x.tenant() && with.keys->still_has(*x.tenant(), tenants::scope::deploy))) break;
        const auto now = with.faas->find(id);
        if (now && now->log_id <= after) text = form == http::stream_form::events ? http::event_keep_alive : "\n";
    }
    const auto done = co_await x.finish();
    static_cast<void>(done);  // the client is gone, so there is nobody to tell
    co_return http::response{};
}

asio::awaitable<http::response> answer_logs(std::string id, std::vector<faas::log_line> lines, std::uint64_t after)
{
    std::string told = R"({"deployment_id":)" + json_text(id) + R"(,"lines":)";
    async::turns turn;
    co_await append_json_list(told, lines, [](const auto& line) { return to_json(line); }, turn);
    told.append(R"(,"log_id":)").append(std::to_string(lines.empty() ? after : lines.back().id)) += '}';
    co_return json_reply(200, std::move(told));
}

asio::awaitable<http::response> get_deployment_logs(services& with, http::exchange& x)
{
    if (!with.faas) co_return error_reply(no_deployments_here());
    const auto resumed = http::last_event_id(x["Last-Event-ID"]);
    const auto after = resumed ? *resumed : query_number(x.query(), "after").value_or(0);
    const auto wanted = query_number(x.query(), "lines").value_or(resumed ? most_log_lines : usual_log_lines);
    const auto most = std::min<std::uint64_t>(wanted, most_log_lines);
    auto form = http::wanted_stream(x[http::field::accept]);
    if (form == http::stream_form::none && query_number(x.query(), "follow").value_or(0) > 0)
        form = http::stream_form::events;
    const auto id = co_await own_deployment(with, x, std::string{x.param(0)});
    if (!id) co_return error_reply(id.error());
    if (auto answered = co_await answer_of_owner(with, x, *id)) co_return std::move(*answered);
    if (form != http::stream_form::none)
        co_return co_await follow_logs(with, x, *id, form, after, static_cast<std::size_t>(most));
    auto lines = with.faas->logs(*id, after, static_cast<std::size_t>(most));
    if (!lines) co_return error_reply(no_such_deployment());
    co_return co_await answer_logs(std::string{x.param(0)}, std::move(*lines), after);
}

}  // namespace sandboxd::api
