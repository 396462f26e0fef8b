// Values by the digest of what they answer, the least recently used out first. A key that was asked for once is noted
// without a value: what nobody asks for a second time is not worth making.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace sandboxd::toolchain {

template <class Value>
class known_store {
public:
    using clock = std::chrono::steady_clock;

    // `most_bytes`: of all values and of what is noted of their keys; 0 keeps nothing.
    known_store(std::uint64_t most_bytes, std::chrono::seconds age) : most_bytes_{most_bytes}, age_{age} {}

    enum class state {
        first,     // never asked for, or long ago
        again,     // asked for before, and neither made nor given up
        hopeless,  // it was tried, and is not to be kept
        known
    };

    struct found {
        state how;
        std::shared_ptr<const Value> value;  // null unless it is known
    };

    // Notes that the key was asked for.
    found find(const std::string& key)
    {
        forget_what_is_old();
        const auto at = entries_.find(key);
        if (at == entries_.end()) {
            put(key, nullptr, 0);
            return {state::first, nullptr};
        }
        touch(at->second);
        if (at->second.value) return {state::known, at->second.value};
        return {at->second.is_hopeless ? state::hopeless : state::again, nullptr};
    }

    // Whether it is known; nobody has asked for it thereby.
    bool has(const std::string& key) const
    {
        const auto at = entries_.find(key);
        return at != entries_.end() && at->second.value;
    }

    // `bytes`: what the value takes. What is larger than all may take is hopeless.
    void keep(const std::string& key, std::shared_ptr<const Value> value, std::uint64_t bytes)
    {
        if (bytes + overhead > most_bytes_) return give_up(key);
        put(key, std::move(value), bytes);
    }

    void give_up(const std::string& key) { put(key, nullptr, 0).is_hopeless = true; }

    // It could not be made this time. The third time it is hopeless.
    void put_off(const std::string& key)
    {
        auto& one = put(key, nullptr, 0);
        one.is_hopeless = ++one.failures == most_failures;
    }

    void clear()
    {
        entries_.clear();
        order_.clear();
        bytes_ = 0;
        values_ = 0;
    }

    bool keeps_anything() const noexcept { return most_bytes_ > overhead; }
    std::uint64_t bytes() const noexcept { return bytes_; }
    std::uint64_t most_bytes() const noexcept { return most_bytes_; }
    // How many values are known.
    std::size_t size() const noexcept { return values_; }

private:
    // What an entry takes beside its value: digest, two nodes.
    static constexpr std::uint64_t overhead = 256;
    static constexpr int most_failures = 3;

    struct entry {
        std::shared_ptr<const Value> value;
        std::uint64_t bytes{0};
        bool is_hopeless{false};
        int failures{0};
        clock::time_point used;
        std::list<std::string>::iterator place;
    };

    void touch(entry& one)
    {
        one.used = clock::now();
        order_.splice(order_.begin(), order_, one.place);
    }

    entry& put(const std::string& key, std::shared_ptr<const Value> value, std::uint64_t bytes)
    {
        auto at = entries_.find(key);
        if (at == entries_.end()) {
            order_.push_front(key);
            at = entries_.emplace(key, entry{.value = nullptr, .used = {}, .place = order_.begin()}).first;
            bytes_ += overhead;
        }
        bytes_ += bytes - at->second.bytes;
        values_ += static_cast<std::size_t>(value != nullptr) - static_cast<std::size_t>(at->second.value != nullptr);
        at->second.value = std::move(value);
        at->second.bytes = bytes;
        touch(at->second);
        // Never the one that was put last: it fits by itself.
        while (bytes_ > most_bytes_ && entries_.size() > 1) forget_oldest();
        return at->second;
    }

    void forget_oldest()
    {
        const auto at = entries_.find(order_.back());
        bytes_ -= overhead + at->second.bytes;
        values_ -= static_cast<std::size_t>(at->second.value != nullptr);
        entries_.erase(at);
        order_.pop_back();
    }

    void forget_what_is_old()
    {
        const auto limit = clock::now() - age_;
        while (!order_.empty() && entries_.find(order_.back())->second.used < limit) forget_oldest();
    }

    std::uint64_t most_bytes_;
    std::chrono::seconds age_;
    std::map<std::string, entry, std::less<>> entries_;
    std::list<std::string> order_;  // the one that was used last comes first
    std::uint64_t bytes_{0};
    std::size_t values_{0};
};

}  // namespace sandboxd::toolchain
