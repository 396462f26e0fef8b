// What the endpoint of the Model Context Protocol keeps between requests: which calls run, so that their own clients
// can end them. Nothing is kept of a session.
#pragma once

#include "async/stop.hpp"
#include "base/metrics.hpp"
#include "mcp/rpc.hpp"

#include <array>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::api {

struct mcp_settings {
    bool enabled{true};                         // mcp.enabled
    std::size_t output_bytes{65'536};           // mcp.maxOutputBytes
    std::size_t resource_bytes{1u << 20};       // mcp.maxResourceBytes
    std::chrono::milliseconds progress{1'000};  // mcp.progressMs
};

// How a call of a tool ended.
enum class call_outcome : std::uint8_t { ok, error, cancelled, gone };
inline constexpr std::size_t call_outcomes = 4;

// Metrics. Their labels are this program's own words: nothing that a client sends becomes one.
class mcp_counts {
public:
    mcp_counts(metrics::registry& into, const std::vector<std::string>& tools);

    void called(std::string_view tool, call_outcome how);
    // By the code of JSON-RPC.
    void refused(int code);

private:
    std::map<std::string, std::array<metrics::counter*, call_outcomes>, std::less<>> calls_;
    std::vector<metrics::counter*> refused_;
};

class mcp_calls {
public:
    // What a client calls its call. The server gives each session a random text, but a client may send another one: so
    // that nobody ends the calls of others, the owner belongs to it. Without a session a call cannot be named at all.
    struct call_name {
        std::string owner;  // the tenant; empty: nobody needs a key
        std::string session;
        std::string id;
        auto operator<=>(const call_name&) const = default;
    };

    // Registers a call while it runs.
    class running {
    public:
        running(mcp_calls& in, call_name its, async::stop_source& stop);
        ~running();
        running(const running&) = delete;
        running& operator=(const running&) = delete;
        bool cancelled() const noexcept { return cancelled_; }

    private:
        friend class mcp_calls;
        mcp_calls& in_;
        async::stop_source& stop_;
        bool cancelled_{false};
        std::multimap<call_name, running*>::iterator place_;
    };

    // Ends the calls of this name; false: there are none.
    bool cancel(const call_name& which);

    std::size_t size() const noexcept { return running_; }

private:
    std::size_t running_{0};
    std::multimap<call_name, running*> all_;
};

// JSON that this server has written, as a tool's result: of an object that is longer than `most` bytes, the texts and
// lists are cut, and a member `cut` names those members. What is cut of a text is its middle; a value of another kind
// becomes the beginning of its text. Sets `is_cut`. Pure.
std::string cut_output(std::string_view object, std::size_t most, bool& is_cut);
// The same, for who has read the members already.
std::string cut_output(std::string_view object, const std::vector<mcp::named_value>& members, std::size_t most,
                       bool& is_cut);

}  // namespace sandboxd::api
