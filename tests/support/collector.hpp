// A collector of spans: OTLP/HTTP in JSON, by Beast, on a port of 127.0.0.1, in a thread of its own. It keeps what it
// is sent, and answers as it is told.
#pragma once

#include <boost/json/object.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::test {

class collector {
public:
    struct request {
        std::string method;
        std::string target;
        std::map<std::string, std::string> fields;  // names in lower case
        std::string body;
        std::chrono::steady_clock::time_point came;
    };

    struct answer {
        unsigned status{200};
        std::string body{"{}"};
        std::vector<std::pair<std::string, std::string>> fields{};
        std::optional<std::string> raw{};  // these bytes instead of all that
        bool close{false};                 // afterwards
        bool says_nothing{false};          // and keeps the connection
    };

    // What is said to a request, the first one of all has number 0.
    using script = std::function<answer(const request& asked, std::size_t number)>;

    collector();
    ~collector();
    collector(const collector&) = delete;
    collector& operator=(const collector&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

    // Without one: 200 and {}.
    void answer_with(script how);

    // Nobody listens any more, and connections end; again, on the same port.
    void end();
    void start_again();

    std::vector<request> requests() const;
    std::size_t connections() const;
    // Of all requests that were answered with 200, in their order.
    std::vector<boost::json::object> spans() const;

    // The value of an attribute, as text: "200", "true", "GET"; empty: there is none.
    static std::string attribute(const boost::json::object& span, const std::string& key);
    static std::string text(const boost::json::object& of, const char* key);

private:
    struct state;
    struct life;
    std::shared_ptr<state> its_;
    std::unique_ptr<life> life_;
    std::uint16_t port_{0};
};

}  // namespace sandboxd::test
