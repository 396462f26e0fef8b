#include "cluster/shared_sandboxes.hpp"

#include "base/log.hpp"
#include "base/uuid.hpp"
#include "cluster/index_words.hpp"
#include "cluster/script_prelude.hpp"
#include "cluster/signed_text.hpp"

#include <algorithm>
#include <utility>

namespace sandboxd::cluster {

namespace asio = boost::asio;
using kind = reply::kind;
using sandboxes::sandbox_info;
using std::chrono::milliseconds;

namespace {

// Of one page of a list.
constexpr std::size_t ids_a_page = 64;

constexpr const char* shared_sandboxes_name = "sandboxd_cluster_sandboxes_total";
constexpr const char* shared_sandboxes_help =
    "What was done with sandboxes that servers share (cluster.redis), by what came of it.";

// KEYS: the sandbox, all, its owner's. ARGV: id, about, owner, bytes, time, how many there may be. 0: there are too
// many.
const std::string keep_sandbox =
    script_prelude +
    "sweep(KEYS[2]) sweep(KEYS[3]) "
    "if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[6]) then return 0 end "
    "redis.call('HSET', KEYS[1], 'about', ARGV[2], 'owner', ARGV[3], 'bytes', ARGV[4], "
    "  'used', string.format('%.0f', now), 'runs', '0') "
    "redis.call('PEXPIRE', KEYS[1], ARGV[5]) "
    "put(KEYS[2], now + ARGV[5], ARGV[1], ARGV[5]) put(KEYS[3], now + ARGV[5], ARGV[1], ARGV[5]) "
    "return 1";

// KEYS: the sandbox, all. ARGV: id, how an owner's set begins, time. 0: it is not there.
const std::string use_sandbox =
    script_prelude +
    "local owner = redis.call('HGET', KEYS[1], 'owner') "
    "if not owner then return 0 end "
    "redis.call('HSET', KEYS[1], 'used', string.format('%.0f', now)) "
    "redis.call('HINCRBY', KEYS[1], 'runs', 1) "
    // Another one may have asked for longer.
    "if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then "
    "  redis.call('PEXPIRE', KEYS[1], ARGV[3]) "
    "  put(KEYS[2], now + ARGV[3], ARGV[1], ARGV[3]) put(ARGV[2] .. owner, now + ARGV[3], ARGV[1], ARGV[3]) end "
    "return 1";

// KEYS: the sandbox, all. ARGV: id, how an owner's set begins. 0: it was not there.
const std::string forget_sandbox =
    "local owner = redis.call('HGET', KEYS[1], 'owner') "
    "redis.call('ZREM', KEYS[2], ARGV[1]) "
    "if not owner then return 0 end "
    "redis.call('ZREM', ARGV[2] .. owner, ARGV[1]) "
    "return redis.call('DEL', KEYS[1])";

// KEYS: a set. ARGV: how a sandbox's key begins, the first, the last, after how many bytes no further one. How many the
// set has, and of each: id, about, used, runs.
const std::string list_sandboxes = script_prelude +
                                   "sweep(KEYS[1]) "
                                   "local found = {} local bytes = 0 "
                                   "for _, id in ipairs(redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[3])) do "
                                   "  if bytes >= tonumber(ARGV[4]) then break end "
                                   "  local one = redis.call('HMGET', ARGV[1] .. id, 'about', 'used', 'runs') "
                                   "  bytes = bytes + #id + #(one[1] or '') + 256 "
                                   "  found[#found + 1] = {id, one[1] or '', one[2] or '', one[3] or ''} end "
                                   "return {redis.call('ZCARD', KEYS[1]), found}";

// KEYS: an owner's set. ARGV: how a sandbox's key begins.
const std::string bytes_of_sandboxes =
    script_prelude +
    "sweep(KEYS[1]) "
    "local sum = 0 "
    "for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do "
    "  sum = sum + (tonumber(redis.call('HGET', ARGV[1] .. id, 'bytes') or '0') or 0) end "
    "return string.format('%.0f', sum)";

std::string info_name_of(std::string_view id) { return "sandbox's info " + std::string{id}; }
std::string sandbox_blob(std::string_view id) { return "sandbox " + std::string{id}; }

}  // namespace

shared_sandboxes::shared_sandboxes(redis_client& redis, remote::blob_store& blobs, shared_sandboxes_settings how,
                                   metrics::registry& metrics)
    : redis_{redis}, blobs_{blobs}, settings_{std::move(how)}, metrics_{metrics}
{
}

std::string shared_sandboxes::key_of(std::string_view id) const
{
    return settings_.prefix + "sandbox:" + std::string{id};
}

void shared_sandboxes::count(std::string_view what, std::string_view came_of_it)
{
    metrics_
        .add_counter(shared_sandboxes_name, shared_sandboxes_help,
                     "what=\"" + std::string{what} + "\",result=\"" + std::string{came_of_it} + "\"")
        .add();
}

asio::awaitable<result<void>> shared_sandboxes::keep(sandboxes::description what)
{
    result<void> done;
    // Nothing is written for what cannot be listed.
    if (!redis_.is_connected()) done = index_error(make_error(errc::unavailable));
    const auto info = sandboxes::info_of(what);
    if (done) {
        auto bytes = sandboxes::to_bytes(what);
        if (bytes.size() > sandboxes::most_bytes_of(settings_.files))
            done = error{errc::payload_too_large,
                         "the sandbox's variables are too large to be shared with other servers; make them smaller"};
        else if (const auto put = co_await blobs_.put(sandbox_blob(info.id), std::move(bytes)); !put)
            done = cache_error(put.error());
    }
    if (done) {
        std::vector<std::string> words{"EVAL",
                                       keep_sandbox,
                                       "3",
                                       key_of(info.id),
                                       set_of_all(),
                                       set_of(info.owner),
                                       info.id,
                                       write_signed(blobs_.key(), info_name_of(info.id), sandboxes::to_text(info)),
                                       info.owner,
                                       std::to_string(info.bytes),
                                       std::to_string(milliseconds{settings_.idle}.count()),
                                       std::to_string(settings_.most)};
        const auto kept = one_or_zero(co_await redis_.call(std::move(words)));
        done = done_or(kept, {errc::queue_full,
                              "the servers have as many sandboxes together as they may (cluster.maxSandboxes); delete "
                              "one"});
    }
    count("create", done ? std::string_view{"done"} : name(done.error().code));
    co_return done;
}

std::optional<sandbox_info> shared_sandboxes::read(const std::string& id, const reply* fields)
{
    if (!is_uuid(id) || fields[0].is != kind::text) return std::nullopt;
    const auto text = read_signed(blobs_.key(), info_name_of(id), fields[0].text);
    auto made = text ? sandboxes::info_from(*text) : result<sandbox_info>{make_error(errc::forbidden)};
    if (!made || made->id != id) {
        count("read", "refused");
        if (warns_of_sandboxes_.again())
            log::warning(
                "Redis has a sandbox that no server of this fleet has written; it is ignored (each fleet needs its own "
                "cluster.keyPrefix)",
                {{"id", id}});
        return std::nullopt;
    }
    // They are nobody's word: whoever writes to Redis can change them.
    const auto used = number_of(fields[1].text);
    const auto runs = number_of(fields[2].text);
    constexpr auto latest = std::int64_t{1} << 43;  // in 2248
    if (used)
        made->last_used =
            std::chrono::system_clock::time_point{milliseconds{std::clamp<std::int64_t>(*used, 0, latest)}};
    if (runs) made->executions = static_cast<std::uint64_t>(std::max<std::int64_t>(*runs, 0));
    return std::move(*made);
}

asio::awaitable<result<sandbox_info>> shared_sandboxes::look(std::string id)
{
    std::vector<std::string> words{"HMGET", key_of(id), "about", "used", "runs"};
    const auto said = co_await redis_.call(std::move(words));
    if (!said) co_return index_error(said.error());
    if (said->is != kind::list || said->list.size() != 3) co_return index_error(odd_index());
    auto seen = read(id, said->list.data());
    if (!seen) co_return make_error(errc::not_found);
    co_return std::move(*seen);
}

asio::awaitable<result<sandboxes::description>> shared_sandboxes::fetch(std::string id)
{
    const auto seen = co_await look(id);
    if (!seen) co_return seen.error();
    auto bytes = co_await blobs_.get(sandbox_blob(id), sandboxes::most_bytes_of(settings_.files));
    if (!bytes) {
        count("fetch", name(bytes.error().code));
        co_return cache_error(bytes.error());
    }
    auto made = sandboxes::description_from(*bytes, settings_.files.max_files);
    // It is signed, so another version of this program has written it, or one with other limits.
    if (!made || made->id != id || made->owner != seen->owner) {
        count("fetch", "refused");
        if (warns_of_files_.again())
            log::warning(
                "a sandbox that another server has created cannot be read",
                {{"id", id}, {"reason", made ? std::string{"it has another id or owner"} : made.error().message}});
        co_return unprocessable("this server cannot read the sandbox that another one has created; create it again");
    }
    count("fetch", "done");
    co_return made;
}

asio::awaitable<result<bool>> shared_sandboxes::use(std::string id, milliseconds longest)
{
    std::vector<std::string> words{
        "EVAL",       use_sandbox, "2",        key_of(id),
        set_of_all(), id,          set_of({}), std::to_string((milliseconds{settings_.idle} + longest).count())};
    const auto said = one_or_zero(co_await redis_.call(std::move(words)));
    count("use", !said ? name(said.error().code) : *said ? std::string_view{"done"} : "gone");
    if (!said) co_return index_error(said.error());
    co_return *said;
}

asio::awaitable<result<bool>> shared_sandboxes::forget(std::string id)
{
    std::vector<std::string> words{"EVAL", forget_sandbox, "2", key_of(id), set_of_all(), id, set_of({})};
    const auto said = one_or_zero(co_await redis_.call(std::move(words)));
    count("delete", !said ? name(said.error().code) : *said ? std::string_view{"done"} : "gone");
    if (!said) co_return index_error(said.error());
    co_return *said;
}

asio::awaitable<result<std::vector<sandbox_info>>> shared_sandboxes::list(std::optional<std::string> owner)
{
    std::vector<sandbox_info> all;
    const auto set = owner ? set_of(*owner) : set_of_all();
    // Others may come and go between two pages.
    for (std::size_t first = 0, there = 1; first < std::min(there, settings_.most);) {
        std::vector<std::string> words{"EVAL",
                                       list_sandboxes,
                                       "1",
                                       set,
                                       key_of({}),
                                       std::to_string(first),
                                       std::to_string(first + ids_a_page - 1),
                                       std::to_string(settings_.page_bytes)};
        const auto said = co_await redis_.call(std::move(words));
        if (!said) co_return index_error(said.error());
        const auto* const page = page_of(*said, ids_a_page, there);
        if (!page) co_return index_error(odd_index());
        for (const auto& one : *page) {
            if (one.is != kind::list || one.list.size() != 4) co_return index_error(odd_index());
            const auto& id = one.list[0].text;
            if (one.list[1].text.empty()) continue;  // it has ended meanwhile
            auto seen = read(id, &one.list[1]);
            const bool is_new = std::ranges::find(all, id, &sandbox_info::id) == all.end();
            if (seen && is_new && (!owner || seen->owner == *owner)) all.push_back(std::move(*seen));
        }
        if (page->empty()) break;
        first += page->size();
    }
    co_return all;
}

asio::awaitable<result<std::uint64_t>> shared_sandboxes::bytes_of(std::string owner)
{
    std::vector<std::string> words{"EVAL", bytes_of_sandboxes, "1", set_of(owner), key_of({})};
    const auto said = co_await redis_.call(std::move(words));
    if (!said) co_return index_error(said.error());
    const auto sum = said->is == kind::text ? number_of(said->text) : std::nullopt;
    if (!sum || *sum < 0) co_return index_error(odd_index());
    co_return static_cast<std::uint64_t>(*sum);
}

}  // namespace sandboxd::cluster
