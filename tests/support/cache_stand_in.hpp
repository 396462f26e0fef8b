// An HTTP cache with Bazel's protocol that does as it is told: it keeps what it is given, or lies. In a thread of its
// own, on a free port of 127.0.0.1.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace sandboxd::test {

class cache_stand_in {
public:
    struct request {
        std::string method;
        std::string target;
        std::string head;                   // all of it
        std::optional<std::string> stored;  // what it has under that target
    };

    // Raw bytes.
    struct answer {
        std::string bytes;
        std::string then_forever{};  // again and again, until the client has enough
        bool byte_by_byte{false};    // with pauses
        std::size_t piece{1};        // how many bytes that are
        bool close{false};
        bool never_close{false};  // it says no more, and keeps the connection
    };

    // What is said instead of the honest answer; nullopt: the honest one.
    using liar = std::function<std::optional<answer>(const request&)>;

    cache_stand_in();
    ~cache_stand_in();
    cache_stand_in(const cache_stand_in&) = delete;
    cache_stand_in& operator=(const cache_stand_in&) = delete;

    std::uint16_t port() const;
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port()); }

    void lie(liar how);
    void be_honest() { lie({}); }

    std::map<std::string, std::string> contents() const;  // by target
    void put(const std::string& target, std::string bytes);
    std::size_t requests(const std::string& method) const;
    std::size_t connections() const;

    // "HTTP/1.1 200 OK", Content-Length, and the bytes.
    static std::string whole(const std::string& body, const std::string& status = "200 OK");

private:
    struct state;
    std::unique_ptr<state> its_;
};

}  // namespace sandboxd::test
