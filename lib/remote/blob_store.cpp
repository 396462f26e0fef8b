#include "remote/blob_store.hpp"

#include "artifacts/collect.hpp"
#include "async/turns.hpp"
#include "base/digest.hpp"
#include "base/log.hpp"

#include <algorithm>
#include <utility>

namespace sandboxd::remote {

namespace asio = boost::asio;

namespace {

constexpr const char* file_name = "bytes";
constexpr std::size_t hashed_at_once = 64 * 1024;
constexpr const char* blobs_name = "sandboxd_store_remote_blobs_total";
constexpr const char* blobs_help =
    "Files of sandboxes and deployments that were written to the cache (store.remote), or read from it, by what "
    "came of it.";

error too_many()
{
    return {
        errc::queue_full,
        "too much is on its way to or from the cache (store.maxRemoteFetches, store.maxRemoteFetchMB); try again in a "
        "moment"};
}

error left_alone() { return {errc::unavailable, "the cache (store.remote) is not asked for a while"}; }

bool takes_with(unsigned status) { return status == 200 || status == 201 || status == 204; }
bool lacks_with(unsigned status) { return status == 404 || status == 410; }
bool fails_with(unsigned status) { return status >= 500 || status == 408 || status == 429; }

}  // namespace

// A transfer under way.
class blob_store::place {
public:
    explicit place(blob_store& of) : of_{of} { ++of_.under_way_; }
    ~place()
    {
        --of_.under_way_;
        of_.bytes_under_way_ -= bytes_;
    }
    place(const place&) = delete;
    place& operator=(const place&) = delete;

    // Whether so many bytes may be on their way, too.
    bool takes(std::uint64_t bytes)
    {
        if (!of_.fits(bytes)) return false;
        bytes_ += bytes;
        of_.bytes_under_way_ += bytes;
        return true;
    }

private:
    blob_store& of_;
    std::uint64_t bytes_{0};
};

struct blob_store::held_room {
    held_room(blob_store& of, const client_key& whose, std::uint64_t bytes)
        : of_{of}, his_{of.shares_.try_emplace(whose).first}, bytes_{bytes}
    {
        ++his_->second.rooms;
        his_->second.bytes += bytes_;
        of_.bytes_under_way_ += bytes_;
    }
    ~held_room()
    {
        of_.bytes_under_way_ -= bytes_;
        his_->second.bytes -= bytes_;
        if (--his_->second.rooms == 0) of_.shares_.erase(his_);
    }
    held_room(const held_room&) = delete;
    held_room& operator=(const held_room&) = delete;

private:
    blob_store& of_;
    std::map<client_key, share>::iterator his_;
    std::uint64_t bytes_;
};

blob_store::blob_store(asio::any_io_executor executor, async::task_group& tasks, blob_store_settings how,
                       std::shared_ptr<asio::ssl::context> tls, metrics::registry& metrics)
    : settings_{std::move(how)},
      client_{std::move(executor), tasks, settings_.client, std::move(tls)},
      calls_{settings_.failures, settings_.pause},
      metrics_{metrics}
{
    metrics.add_gauge("sandboxd_store_remote_blobs_running",
                      "Files of sandboxes and deployments on their way to the cache, or from it.",
                      [this] { return static_cast<double>(under_way_); });
    metrics.add_gauge("sandboxd_store_remote_blobs_bytes",
                      "Bytes of files of sandboxes and deployments on their way to the cache, or from it.",
                      [this] { return static_cast<double>(bytes_under_way_); });
}

bool blob_store::fits(std::uint64_t bytes) const noexcept
{
    const auto most = settings_.transfer_bytes;
    return bytes <= most - std::min(most, bytes_under_way_);
}

result<blob_store::room> blob_store::make_room(const client_key& whose, std::uint64_t bytes)
{
    if (!fits(bytes)) {
        count("put", name(errc::queue_full));
        return too_many();
    }
    if (const auto his = shares_.find(whose); his != shares_.end()) {
        const auto most =
            settings_.transfer_bytes / std::max<std::size_t>(settings_.transfers, 1) * settings_.transfers_per_client;
        const auto& has = his->second;
        if (has.rooms >= settings_.transfers_per_client || has.bytes + bytes > most) {
            count("put", "client_share");
            return error{errc::queue_full,
                         "too much of yours is on its way to the cache (store.maxRemoteFetchesPerClient); try again "
                         "when it is there"};
        }
    }
    return room{std::make_shared<held_room>(*this, whose, bytes)};
}

std::string blob_store::trouble() const
{
    return calls_.is_open()
               ? "store.remote: the cache fails, and is not asked for sandboxes and deployments for a while; the log "
                 "says why"
               : std::string{};
}

void blob_store::count(std::string_view way, std::string_view what)
{
    metrics_
        .add_counter(blobs_name, blobs_help, "way=\"" + std::string{way} + "\",result=\"" + std::string{what} + "\"")
        .add();
}

// What the callers are told: where the cache is, and what it says, is for the log.
error blob_store::failed(const error& why)
{
    if (why.code == errc::draining || why.code == errc::queue_full) return why;
    const bool was_open = calls_.is_open();
    calls_.failed(clock::now());
    if (calls_.is_open() && !was_open)
        log::warning(
            "the cache fails (store.remote), and is not asked for sandboxes and deployments for a while",
            {{"url", client_.where().text()}, {"reason", why.message}, {"pause_secs", settings_.pause.count()}});
    return {errc::unavailable, "the cache (store.remote) fails"};
}

error blob_store::refuse(std::string_view name, std::string_view why)
{
    if (warns_of_wrong_.again())
        log::warning("the cache (store.remote) has something else than was written there; it is not used",
                     {{"name", name}, {"reason", why}});
    return {errc::not_found, "the cache (store.remote) has something else"};
}

call blob_store::call_of(std::string_view method, std::string target, std::uint64_t bytes) const
{
    call made;
    made.method = method;
    made.target = std::move(target);
    made.until = clock::now() + settings_.timeout;
    // The head of an answer to a PUT comes behind the body.
    made.patience = settings_.timeout + std::chrono::milliseconds{bytes * 1000 / settings_.least_rate};
    made.least_rate = settings_.least_rate;
    return made;
}

asio::awaitable<result<void>> blob_store::put_at(std::string target, std::string_view bytes)
{
    auto give = call_of("PUT", std::move(target), bytes.size());
    give.body_bytes = bytes.size();
    give.read = [bytes](std::span<char> into, std::uint64_t offset) -> std::int64_t {
        const auto part = bytes.substr(std::min<std::size_t>(bytes.size(), offset), into.size());
        std::ranges::copy(part, into.begin());
        return static_cast<std::int64_t>(part.size());
    };
    const auto said = co_await client_.make(std::move(give));
    if (!said) co_return failed(said.error());
    if (takes_with(said->status)) {
        calls_.succeeded();
        co_return result<void>{};
    }
    error why{errc::upstream_failed, "the cache answers a PUT with status " + std::to_string(said->status)};
    if (fails_with(said->status)) co_return failed(why);
    // What it does not take of one client, it may take of others.
    calls_.succeeded();
    if (warns_of_refused_.again())
        log::warning("the cache (store.remote) does not take the files of a sandbox or deployment",
                     {{"url", client_.where().text()}, {"reason", why.message}, {"bytes", bytes.size()}});
    co_return error{errc::unavailable, "the cache (store.remote) does not take it"};
}

// False: it is not there.
asio::awaitable<result<bool>> blob_store::get_at(std::string target, std::uint64_t most_bytes, piece_taker take)
{
    auto ask = call_of("GET", std::move(target), 0);
    ask.most_bytes = most_bytes;
    ask.take = [&take](std::string_view piece) {
        take(piece);
        return true;
    };
    const auto said = co_await client_.make(std::move(ask));
    // It says something, if not what it should.
    const bool is_too_much = !said && said.error().code == errc::payload_too_large;
    if (!said && !is_too_much) co_return failed(said.error());
    if (said && !lacks_with(said->status) && said->status != 200)
        co_return failed(
            {errc::upstream_failed, "the cache answers a GET with status " + std::to_string(said->status)});
    calls_.succeeded();
    if (is_too_much) co_return said.error();
    co_return said->status == 200;
}

asio::awaitable<result<void>> blob_store::write(std::string name, std::string_view bytes, bool has_room)
{
    if (under_way_ >= settings_.transfers) co_return too_many();
    place mine{*this};
    if (!has_room && !mine.takes(bytes.size())) co_return too_many();
    if (!calls_.allows(clock::now())) co_return left_alone();
    sha256 hash;
    {
        async::turns turn;
        for (auto rest = bytes; !rest.empty(); rest.remove_prefix(std::min(rest.size(), hashed_at_once))) {
            hash.update(rest.substr(0, hashed_at_once));
            if (turn.over()) co_await turn.rest();
        }
    }
    const auto digest = to_hex(hash.finish());
    auto done = co_await put_at("/cas/" + digest, bytes);
    if (!done) co_return done;
    // Last, so that who finds it finds the rest.
    const shared_entry entry{
        .id = name, .files = {{file_name, {bytes.size(), digest}}}, .record = {0, to_hex(sha256_of({}))}};
    const auto document = write_document(entry, settings_.key);
    co_return co_await put_at("/ac/" + settings_.key.place_of(name), document);
}

asio::awaitable<result<void>> blob_store::read(std::string name, std::uint64_t most_bytes, std::string& into)
{
    if (under_way_ >= settings_.transfers) co_return too_many();
    place mine{*this};
    if (!calls_.allows(clock::now())) co_return left_alone();
    std::string document;
    const auto found = co_await get_at("/ac/" + settings_.key.place_of(name), longest_document,
                                       [&document](std::string_view piece) { document += piece; });
    if (!found)
        co_return found.error().code == errc::payload_too_large ? refuse(name, "its document is too long")
                                                                : found.error();
    if (!*found) co_return error{errc::not_found, "the cache (store.remote) does not have it"};
    const artifacts::collect_caps caps{.max_files = 1, .max_bytes_each = most_bytes, .max_bytes_total = most_bytes};
    const auto entry = read_document(document, name, settings_.key, caps);
    if (!entry) co_return refuse(name, entry.error().message);
    if (entry->files.size() != 1 || entry->files.front().name != file_name)
        co_return refuse(name, "its document names other files");
    const auto& what = entry->files.front().what;
    if (!mine.takes(what.bytes)) co_return too_many();
    into.reserve(static_cast<std::size_t>(what.bytes));
    sha256 hash;
    const auto came = co_await get_at("/cas/" + what.sha256, what.bytes, [&](std::string_view piece) {
        hash.update(piece);
        into += piece;
    });
    if (!came)
        co_return came.error().code == errc::payload_too_large
            ? refuse(name, "it has more bytes than its document says")
            : came.error();
    if (!*came) co_return error{errc::not_found, "the cache (store.remote) has lost it"};
    if (into.size() != what.bytes || to_hex(hash.finish()) != what.sha256)
        co_return refuse(name, "it has other bytes than its document says");
    co_return result<void>{};
}

asio::awaitable<result<void>> blob_store::put(std::string name, std::string bytes, bool has_room)
{
    auto done = co_await write(std::move(name), bytes, has_room);
    count("put", done ? std::string_view{"done"} : sandboxd::name(done.error().code));
    co_return done;
}

asio::awaitable<result<std::string>> blob_store::get(std::string name, std::uint64_t most_bytes)
{
    std::string bytes;
    const auto done = co_await read(std::move(name), most_bytes, bytes);
    count("get", done ? std::string_view{"done"} : sandboxd::name(done.error().code));
    if (!done) co_return done.error();
    co_return bytes;
}

}  // namespace sandboxd::remote
