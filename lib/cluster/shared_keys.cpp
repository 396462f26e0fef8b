#include "cluster/shared_keys.hpp"

#include "base/digest.hpp"
#include "base/log.hpp"
#include "cluster/index_words.hpp"
#include "cluster/signed_text.hpp"

#include <algorithm>
#include <exception>
#include <map>
#include <utility>

namespace sandboxd::cluster {

namespace asio = boost::asio;
using kind = reply::kind;
using tenants::fleet_key;
using tenants::key_source;

namespace {

constexpr const char* shared_keys_name = "sandboxd_cluster_keys_total";
constexpr const char* shared_keys_help =
    "What was done with keys that servers share (cluster.redis), by what came of it.";

// Of one step through the hash, about: 128 entries of 1 KiB at most are half of the least cluster.maxRedisMessageKB.
constexpr std::size_t keys_a_step = 128;
constexpr std::size_t version_bytes = 16;
constexpr std::size_t digits_of_digest = 64;
// Whoever keeps this server busy must not keep the operator from taking his key away.
constexpr bool is_operators = true;
// Until there is a connection for the first time. A pace, and no limit: asking a Redis that is away costs nothing,
// since its client has a pause of its own (cluster.reconnectMaxMs).
constexpr std::chrono::milliseconds until_redis_is_reached{20};

// KEYS: all keys, their names, the version. ARGV: digest, what is said of it, name, how many there may be, version.
// 0: there are as many; a list of one: the digest that the name is another one's by; else the version before.
const std::string make_shared_key =
    "local other = redis.call('HGET', KEYS[2], ARGV[3]) "
    "if other and redis.call('HGET', KEYS[1], other) then return {other} end "
    "if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end "
    "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) redis.call('HSET', KEYS[2], ARGV[3], ARGV[1]) "
    "local before = redis.call('GET', KEYS[3]) or '' "
    "redis.call('SET', KEYS[3], ARGV[5]) "
    "return before";

// KEYS: all keys, their names, the version. ARGV: digest, name, version. The version before.
const std::string forget_shared_key =
    "redis.call('HDEL', KEYS[1], ARGV[1]) "
    "if redis.call('HGET', KEYS[2], ARGV[2]) == ARGV[1] then redis.call('HDEL', KEYS[2], ARGV[2]) end "
    "local before = redis.call('GET', KEYS[3]) or '' "
    "redis.call('SET', KEYS[3], ARGV[3]) "
    "return before";

// `other`: what Redis says of its digest; which anybody may have written who can write there.
error name_is_taken(const std::string& its_name, std::string_view other)
{
    const bool is_one = tenants::read_digest(other).has_value();
    return {errc::conflict, "there is a key of the name '" + its_name +
                                "' already; a name is one tenant's, with one key: delete that one first" +
                                (is_one ? " (DELETE /admin/keys/" + std::string{other} + ")" : std::string{})};
}

std::string key_words(std::string_view digest) { return "tenant's key " + std::string{digest}; }

// What HSCAN answers: where to go on, and fields with their values. Null: it is something else.
const std::vector<reply>* step_of(const reply& said, std::string& cursor)
{
    if (said.is != kind::list || said.list.size() != 2 || said.list[0].is != kind::text) return nullptr;
    if (said.list[1].is != kind::list || said.list[1].list.size() % 2 != 0) return nullptr;
    cursor = said.list[0].text;
    return &said.list[1].list;
}

// A hash of Redis is seldom less than a tenth full, and a step goes through as many of its places as it asks for
// entries. One that goes on for longer than this has more than there may be.
std::size_t most_steps(std::size_t keys) { return 16 + 32 * keys / keys_a_step; }

}  // namespace

shared_keys::shared_keys(asio::any_io_executor executor, async::task_group& tasks, redis_client& redis,
                         remote::signing_key key, shared_keys_settings how, tenants::key_table& table,
                         metrics::registry& metrics)
    : tasks_{tasks},
      redis_{redis},
      key_{std::move(key)},
      settings_{std::move(how)},
      table_{table},
      metrics_{metrics},
      closing_{executor},
      turn_{executor}
{
    table_.expect_fleet();
}

void shared_keys::count(std::string_view what, std::string_view came_of_it)
{
    metrics_
        .add_counter(shared_keys_name, shared_keys_help,
                     "what=\"" + std::string{what} + "\",result=\"" + std::string{came_of_it} + "\"")
        .add();
}

void shared_keys::start() { tasks_.spawn("watch the keys that servers share", watch()); }

asio::awaitable<void> shared_keys::watch()
{
    auto pause = settings_.poll;
    do {
        pause = settings_.poll;
        try {
            pause = pause_after(co_await look());
        } catch (const std::exception& thrown) {
            log::warning("this server cannot read the keys that servers share", {{"cause", thrown.what()}});
        }
    } while (!co_await closing_.wait_for(pause));
}

std::chrono::milliseconds shared_keys::pause_after(const result<void>& looked) const
{
    const bool has_no_way = !looked && looked.error().code == errc::unavailable;
    return has_no_way && !seen_ ? std::min(settings_.poll, until_redis_is_reached) : settings_.poll;
}

asio::awaitable<result<void>> shared_keys::look()
{
    const auto mine = co_await turn_.lock();
    std::vector<std::string> words{"GET", version_key()};
    // What was taken away must end, however busy this server is.
    const auto said = co_await redis_.call(std::move(words), true);
    if (!said) {
        count("look", name(said.error().code));
        co_return said.error();
    }
    if (said->is != kind::text && said->is != kind::nothing) {
        count("look", name(errc::upstream_failed));
        co_return odd_index();
    }
    if (seen_ && *seen_ == said->text) {
        count("look", "same");
        co_return result<void>{};
    }
    auto all = co_await read_all();
    count("look", all ? std::string_view{"changed"} : name(all.error().code));
    if (!all) co_return all.error();
    table_.take_fleet(std::move(*all));
    // Whatever has changed while they were read has another version.
    seen_ = said->text;
    co_return result<void>{};
}

asio::awaitable<result<std::vector<fleet_key>>> shared_keys::read_all()
{
    // A fleet that has made none yet goes on as before, also where its user of Redis may not read them.
    std::vector<std::string> question{"EXISTS", all_keys()};
    const auto are_there = one_or_zero(co_await redis_.call(std::move(question), true));
    if (!are_there) co_return are_there.error();
    if (!*are_there) co_return std::vector<fleet_key>{};
    std::map<std::string, fleet_key> by_name;
    std::string cursor = "0";
    std::size_t steps = 0;
    do {
        std::vector<std::string> words{"HSCAN", all_keys(), cursor, "COUNT", std::to_string(keys_a_step)};
        const auto said = co_await redis_.call(std::move(words), true);
        if (!said) co_return said.error();
        const auto* const step = step_of(*said, cursor);
        if (!step) co_return odd_index();
        for (std::size_t i = 0; i < step->size(); i += 2) {
            auto one = read((*step)[i].text, (*step)[i + 1].text);
            if (!one) continue;
            auto& known = by_name[one->what.name];
            if (known.what.name.empty() || known.created < one->created) known = std::move(*one);
        }
    } while (cursor != "0" && ++steps < most_steps(settings_.most) && by_name.size() <= settings_.most);
    if ((cursor != "0" || by_name.size() > settings_.most) && warns_of_many_.again())
        log::warning("Redis has more keys than there may be; the others do not count",
                     {{"key", "auth.maxKeys"}, {"most", settings_.most}});
    std::vector<fleet_key> all;
    for (auto& [its_name, one] : by_name)
        if (all.size() < settings_.most) all.push_back(std::move(one));
    co_return all;
}

std::optional<fleet_key> shared_keys::read(std::string_view digest, std::string_view text)
{
    const auto wanted = tenants::read_digest(digest);
    const auto said = wanted ? read_signed(key_, key_words(digest), text) : std::nullopt;
    auto made = said ? tenants::fleet_key_from(*said, *wanted) : result<fleet_key>{make_error(errc::forbidden)};
    if (made) return std::move(*made);
    count("read", "refused");
    // What is signed may be another version's.
    if (warns_of_keys_.again())
        log::warning(
            "Redis has a key that this server cannot take for one of this fleet's; it is ignored (each fleet needs its "
            "own cluster.keyPrefix)",
            {{"sha256", digest.substr(0, digits_of_digest)}, {"cause", made.error().message}});
    return std::nullopt;
}

std::size_t shared_keys::room() const noexcept
{
    return settings_.most - std::min(settings_.most, table_.size(key_source::file));
}

void shared_keys::note_version(const std::string& before, std::string now)
{
    // Otherwise others have changed something too: the next look reads it.
    if (seen_ && *seen_ == before) seen_ = std::move(now);
}

asio::awaitable<result<void>> shared_keys::make(fleet_key key)
{
    const auto mine = co_await turn_.lock();
    const auto digest = to_hex(key.what.digest);
    auto version = random_hex(version_bytes);
    std::vector<std::string> words{
        "EVAL",        make_shared_key,        "3",    all_keys(),
        all_names(),   version_key(),          digest, write_signed(key_, key_words(digest), tenants::to_text(key)),
        key.what.name, std::to_string(room()), version};
    const auto said = co_await redis_.call(std::move(words), is_operators);
    result<void> done;
    if (!said)
        done = index_error(said.error());
    else if (said->is == kind::list && said->list.size() == 1)
        done = name_is_taken(key.what.name, said->list[0].text);
    else if (said->is == kind::number)
        done = error{errc::queue_full,
                     "there are as many keys as there may be, those of the keys file and those that were made together "
                     "(auth.maxKeys); delete one"};
    else if (said->is != kind::text)
        done = index_error(odd_index());
    count("make", done ? std::string_view{"done"} : name(done.error().code));
    if (!done) co_return done;
    note_version(said->text, std::move(version));
    // The keys file may be another one by now. Then the key would open other servers, and not this one.
    if (table_.is_of_file(key.what.name)) {
        const auto taken_back = co_await take_out(key.what.digest, key.what.name);
        if (!taken_back) co_return taken_back.error();
        co_return error{errc::conflict, "the keys file (auth.keysFile) has a key of the name '" + key.what.name +
                                            "' now; a name is one tenant's, with one key: take that one out first"};
    }
    table_.add_fleet(std::move(key));
    co_return done;
}

asio::awaitable<result<void>> shared_keys::take_out(const sha256_digest& digest, const std::string& its_name)
{
    auto version = random_hex(version_bytes);
    std::vector<std::string> words{"EVAL",        forget_shared_key, "3",      all_keys(), all_names(),
                                   version_key(), to_hex(digest),    its_name, version};
    const auto said = co_await redis_.call(std::move(words), is_operators);
    const bool is_odd = said && said->is != kind::text;
    count("delete", !said ? name(said.error().code) : is_odd ? name(errc::upstream_failed) : std::string_view{"done"});
    if (!said || is_odd) co_return index_error(said ? odd_index() : said.error());
    note_version(said->text, std::move(version));
    co_return result<void>{};
}

// By Redis, which may know of one that was made a moment ago, or by the table, which may have one that was taken away.
// Empty: Redis has something there that this server cannot read. It counts nowhere here, but takes a place.
asio::awaitable<result<std::string>> shared_keys::name_of(const sha256_digest& digest)
{
    const auto hex = to_hex(digest);
    std::vector<std::string> words{"HGET", all_keys(), hex};
    const auto said = co_await redis_.call(std::move(words), is_operators);
    if (!said) co_return index_error(said.error());
    if (said->is != kind::text && said->is != kind::nothing) co_return index_error(odd_index());
    if (said->is == kind::text)
        if (auto there = read(hex, said->text)) co_return std::move(there->what.name);
    auto known = table_.look_up(digest);
    if (known && known->from == key_source::fleet) co_return std::move(known->what.name);
    if (said->is == kind::text) co_return std::string{};
    co_return make_error(errc::not_found);
}

asio::awaitable<result<std::string>> shared_keys::forget(sha256_digest digest)
{
    const auto mine = co_await turn_.lock();
    auto its_name = co_await name_of(digest);
    if (!its_name) {
        count("delete", name(its_name.error().code));
        co_return its_name;
    }
    if (const auto done = co_await take_out(digest, *its_name); !done) co_return done.error();
    table_.remove_fleet(digest);
    co_return its_name;
}

}  // namespace sandboxd::cluster
