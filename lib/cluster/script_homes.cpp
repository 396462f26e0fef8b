#include "cluster/script_homes.hpp"

#include "base/digest.hpp"
#include "base/log.hpp"
#include "cluster/index_words.hpp"
#include "cluster/peer_link.hpp"
#include "cluster/script_prelude.hpp"
#include "cluster/signed_text.hpp"

#include <exception>
#include <utility>
#include <vector>

namespace sandboxd::cluster {

namespace asio = boost::asio;
using kind = reply::kind;

namespace {

constexpr std::size_t tag_bytes = 8;
// A server says three times in its time (cluster.leaseSecs) that it is there: two may be lost.
constexpr int says_a_time = 3;
// A pace, and no limit: asking a Redis that is away costs nothing, since its client has a pause of its own
// (cluster.reconnectMaxMs).
constexpr std::chrono::milliseconds until_redis_is_back{200};

constexpr const char* homes_name = "sandboxd_cluster_scripts_total";
constexpr const char* homes_help =
    "Requests for kept JavaScript sandboxes and continuations, by which server has them (cluster.listen).";

// KEYS: this server. ARGV: what it says, time. 0: it was not known.
const std::string say_here =
    "local was = redis.call('EXISTS', KEYS[1]) redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return was";

// KEYS: the sandbox, all. ARGV: this server's tag, time, how a server's key begins, the sandbox's name in the set, how
// many there may be. Nothing: it is this server's; 0: it is, but no other one is told, as there are too many. Else the
// tag of another one, and what that says.
const std::string find_home =
    script_prelude +
    "local tag = redis.call('GET', KEYS[1]) "
    "if tag and tag ~= ARGV[1] then "
    "  local server = redis.call('GET', ARGV[3] .. tag) "
    "  if server then "
    "    redis.call('PEXPIRE', KEYS[1], ARGV[2]) put(KEYS[2], now + ARGV[2], ARGV[4], ARGV[2]) "
    "    return {tag, server} end end "
    "sweep(KEYS[2]) "
    "if not tag and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[5]) then return 0 end "
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) put(KEYS[2], now + ARGV[2], ARGV[4], ARGV[2]) "
    "return false";

std::string server_words(std::string_view tag) { return "server of scripts " + std::string{tag}; }

}  // namespace

script_homes::script_homes(asio::any_io_executor executor, async::task_group& tasks, redis_client& redis,
                           remote::signing_key key, script_homes_settings how, const std::string& address,
                           metrics::registry& metrics)
    : tasks_{tasks},
      redis_{redis},
      key_{std::move(key)},
      settings_{std::move(how)},
      tag_{random_hex(tag_bytes)},
      me_{write_signed(key_, server_words(tag_), address)},
      closing_{executor},
      servers_{settings_.known, metrics, "script"},
      metrics_{metrics}
{
}

void script_homes::count(std::string_view what, std::string_view came_of_it)
{
    metrics_
        .add_counter(homes_name, homes_help,
                     "what=\"" + std::string{what} + "\",result=\"" + std::string{came_of_it} + "\"")
        .add();
}

std::string script_homes::key_of(std::string_view tag) const { return settings_.prefix + "server:" + std::string{tag}; }

void script_homes::start() { tasks_.spawn("say that this server is there", say()); }

asio::awaitable<void> script_homes::close()
{
    closing_.set();
    std::vector<std::string> words{"DEL", key_of(tag_)};
    // If it does not work, the key ends by itself.
    static_cast<void>(co_await redis_.call(std::move(words)));
}

asio::awaitable<void> script_homes::say()
{
    bool was_known = false;
    bool is_said = false;
    do {
        is_said = false;
        try {
            std::vector<std::string> words{"EVAL",       say_here, "1",
                                           key_of(tag_), me_,      std::to_string(settings_.time.count())};
            const auto said = one_or_zero(co_await redis_.call(std::move(words), true));
            if (said && was_known && !*said) forgot_ = clock::now();
            if (said) was_known = is_said = true;
        } catch (const std::exception& thrown) {
            log::warning("this server cannot write its address to Redis", {{"cause", thrown.what()}});
        }
    } while (!co_await closing_.wait_for(is_said ? settings_.time / says_a_time : until_redis_is_back));
}

std::optional<std::string> script_homes::read(const std::string& tag, std::string_view text)
{
    const auto address = read_signed(key_, server_words(tag), text);
    if (address && parse_peer_address(*address)) {
        servers_.set(tag, std::string{*address});
        return std::string{*address};
    }
    if (warns_of_servers_.again())
        log::warning(
            "Redis names a server of kept scripts that is none of this fleet; it is ignored (each fleet needs its own "
            "cluster.keyPrefix)",
            {{"tag", tag}});
    return std::nullopt;
}

asio::awaitable<result<std::string>> script_homes::server_of(std::string tag)
{
    std::vector<std::string> words{"GET", key_of(tag)};
    const auto said = co_await redis_.call(std::move(words));
    const auto* const known = servers_.find(tag);
    if (!said && known) co_return *known;
    if (!said) co_return index_error(said.error());
    if (said->is == kind::text) {
        auto address = read(tag, said->text);
        count("continuation", address ? "elsewhere" : "refused");
        if (!address) co_return make_error(errc::not_found);
        co_return std::move(*address);
    }
    if (said->is != kind::nothing) co_return index_error(odd_index());
    // A Redis that has just forgotten everything is told again by those who are there.
    if (forgot_ && clock::now() - *forgot_ < 2 * settings_.time) co_return index_error(make_error(errc::unavailable));
    servers_.erase(tag);
    count("continuation", "gone");
    co_return make_error(errc::not_found);
}

asio::awaitable<result<std::string>> script_homes::home_of(std::string owner, std::string sandbox_id)
{
    const auto digest = key_.sign("home of a script's sandbox", owner + '\n' + sandbox_id);
    std::vector<std::string> words{"EVAL",
                                   find_home,
                                   "2",
                                   settings_.prefix + "script:" + digest,
                                   settings_.prefix + "scripts",
                                   tag_,
                                   std::to_string(std::chrono::milliseconds{settings_.home}.count()),
                                   key_of({}),
                                   digest,
                                   std::to_string(settings_.most)};
    const auto said = co_await redis_.call(std::move(words));
    if (!said) co_return index_error(said.error());
    if (said->is == kind::nothing || said->is == kind::number) {
        count("sandbox", said->is == kind::number ? "full" : "here");
        co_return std::string{};
    }
    if (said->is != kind::list || said->list.size() != 2) co_return index_error(odd_index());
    auto address = read(said->list[0].text, said->list[1].text);
    count("sandbox", address ? "elsewhere" : "refused");
    // What nobody of the fleet has written is as if it were not there.
    co_return address ? std::move(*address) : std::string{};
}

}  // namespace sandboxd::cluster
