#include "cluster/reply_reader.hpp"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <new>
#include <utility>

namespace sandboxd::cluster {

namespace {

// What a text has around it: "$", a size, two line ends.
constexpr std::size_t longest_frame = 32;

}  // namespace

// What is left of an answer's bound, and why it was ended.
struct reply_reader::budget {
    std::size_t left{0};
    enum { none, bytes, depth, type, memory } flaw{none};
};

// hiredis calls these with what it reads; null ends its work. It knows objects by a pointer, and places by the task:
// the list above, and the index in it.
struct reply_reader::makers {
    static budget& budget_of(const redisReadTask& task) { return *static_cast<budget*>(task.privdata); }

    static void* refuse(const redisReadTask& task, decltype(budget::flaw) why)
    {
        budget_of(task).flaw = why;
        return nullptr;
    }

    // Where the object goes; null: nowhere.
    template <class Fill>
    static void* make(const redisReadTask& task, std::size_t bytes, Fill fill) noexcept
    {
        auto& of = budget_of(task);
        if (bytes > of.left) return refuse(task, budget::bytes);
        of.left -= bytes;
        // No exception may pass through C.
        try {
            if (task.parent != nullptr) {
                auto& place = static_cast<reply*>(task.parent->obj)->list.at(static_cast<std::size_t>(task.idx));
                fill(place);
                return &place;
            }
            auto root = std::make_unique<reply>();
            fill(*root);
            return root.release();
        } catch (const std::exception&) {
            return refuse(task, budget::memory);
        }
    }

    static void* text(const redisReadTask* task, char* bytes, std::size_t size)
    {
        auto kind = reply::kind::text;
        if (task->type == REDIS_REPLY_STATUS)
            kind = reply::kind::status;
        else if (task->type == REDIS_REPLY_ERROR)
            kind = reply::kind::failure;
        else if (task->type != REDIS_REPLY_STRING)
            return refuse(*task, budget::type);
        return make(*task, size, [&](reply& into) {
            into.is = kind;
            into.text.assign(bytes, size);
        });
    }

    static void* list(const redisReadTask& task, std::size_t size)
    {
        if (task.type != REDIS_REPLY_ARRAY) return refuse(task, budget::type);
        unsigned depth = 1;
        for (const auto* above = task.parent; above != nullptr; above = above->parent) ++depth;
        if (depth > deepest_reply) return refuse(task, budget::depth);
        // First its bound, since nothing has come of it but its size.
        if (size > budget_of(task).left / sizeof(reply)) return refuse(task, budget::bytes);
        return make(task, size * sizeof(reply), [&](reply& into) {
            into.is = reply::kind::list;
            into.list.resize(size);
        });
    }

    static void* number(const redisReadTask* task, long long value)
    {
        if (task->type != REDIS_REPLY_INTEGER) return refuse(*task, budget::type);
        return make(*task, 0, [&](reply& into) {
            into.is = reply::kind::number;
            into.number = value;
        });
    }

    static void* nothing(const redisReadTask* task)
    {
        return make(*task, 0, [](reply& into) { into.is = reply::kind::nothing; });
    }

    // Of roots alone: hiredis frees no other.
    static void free(void* object) { delete static_cast<reply*>(object); }

    // RESP3 has more, which nobody asked for. hiredis before 1.0 does not know them; without a maker it takes them.
    template <class Functions>
    static Functions table()
    {
        Functions made{};
        made.createString = text;
        // The size is an int before hiredis 1.0.
        made.createArray = [](const redisReadTask* task, auto size) -> void* {
            return list(*task, static_cast<std::size_t>(size));
        };
        made.createInteger = number;
        made.createNil = nothing;
        made.freeObject = free;
        if constexpr (requires { made.createDouble; })
            made.createDouble = [](const redisReadTask* task, auto...) -> void* { return refuse(*task, budget::type); };
        if constexpr (requires { made.createBool; })
            made.createBool = [](const redisReadTask* task, auto...) -> void* { return refuse(*task, budget::type); };
        return made;
    }
};

reply_reader::reply_reader(std::size_t most_bytes) : most_bytes_{most_bytes}, budget_{std::make_unique<budget>()}
{
    static redisReplyObjectFunctions functions = makers::table<redisReplyObjectFunctions>();
    budget_->left = most_bytes_;
    reader_ = redisReaderCreateWithFunctions(&functions);
    if (reader_ == nullptr) throw std::bad_alloc{};
    reader_->privdata = budget_.get();
}

reply_reader::~reply_reader() { redisReaderFree(reader_); }

// An error, of memory, is told by next().
void reply_reader::feed(std::string_view bytes) { redisReaderFeed(reader_, bytes.data(), bytes.size()); }

error reply_reader::refusal() const
{
    switch (budget_->flaw) {
        case budget::bytes: return {errc::payload_too_large, "Redis' answer is larger than cluster.maxRedisMessageKB"};
        case budget::depth: return {errc::upstream_failed, "Redis' answer is nested too deeply"};
        case budget::type: return {errc::upstream_failed, "Redis' answer has a type that was not asked for"};
        case budget::memory: return {errc::internal, "there is no memory for Redis' answer"};
        case budget::none: break;
    }
    return {errc::upstream_failed, "the answer is not in Redis' protocol"};
}

result<std::optional<reply>> reply_reader::next()
{
    // hiredis would begin with the next one, and is_empty() could not tell that from its first byte.
    if (budget_->flaw == budget::none && reader_->err == 0 && is_empty()) return std::optional<reply>{};
    void* made = nullptr;
    if (budget_->flaw != budget::none || redisReaderGetReply(reader_, &made) != REDIS_OK) return refusal();
    if (made == nullptr) {
        // A text that is not whole waits in hiredis' buffer.
        if (reader_->len - reader_->pos <= most_bytes_ + longest_frame) return std::optional<reply>{};
        budget_->flaw = budget::bytes;
        return refusal();
    }
    budget_->left = most_bytes_;
    const std::unique_ptr<reply> root{static_cast<reply*>(made)};
    return std::optional<reply>{std::move(*root)};
}

bool reply_reader::is_empty() const noexcept { return reader_->len == reader_->pos && reader_->ridx < 0; }

result<std::string> request_of(const std::vector<std::string>& words, std::size_t most_bytes)
{
    if (words.empty()) return invalid_request("a call of Redis has no command");
    std::size_t bytes = 0;
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    for (const auto& one : words) {
        if (one.size() > most_bytes - bytes)
            return error{errc::payload_too_large, "a request to Redis is larger than cluster.maxRedisMessageKB"};
        bytes += one.size();
        texts.push_back(one.data());
        sizes.push_back(one.size());
    }
    char* made = nullptr;
    const auto size = redisFormatCommandArgv(&made, static_cast<int>(texts.size()), texts.data(), sizes.data());
    if (size < 0 || made == nullptr) throw std::bad_alloc{};
    const std::unique_ptr<char, void (*)(char*)> owned{made, [](char* bytes_of) { redisFreeCommand(bytes_of); }};
    return std::string(made, static_cast<std::size_t>(size));
}

}  // namespace sandboxd::cluster
