// One client of a load test: does one random thing after another, and judges each answer.
#pragma once

#include "load/world.hpp"
#include "support/http_client.hpp"

#include <boost/json/object.hpp>

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sandboxd::test {

// Mostly compiles, or everything that costs the server little.
enum class temper { heavy, light };

class client {
public:
    client(world& shared, unsigned number, temper how);

    // Until the turnstile is over.
    void run();

    // For the one who directs the test; each returns whether all was as it must be, and enters
    // violations. Compiles the request afresh and compares with what the same request gave before.
    bool compile_again(boost::json::object request);
    bool download(const artifact& what);
    void disconnect() { connection_.reset(); }

private:
    enum class kind { plain, compile, download };
    // A status, and the `code` of an error's answer.
    struct wanted {
        unsigned status;
        std::string_view code{};
    };
    struct composed {
        std::string id;
        std::string bytes;
        bool head{false};
    };

    void act_heavy();
    void act_light();

    void compile_good(boost::json::object request);
    void compile_bad_source();
    void refuse_arguments();
    void refuse_json();
    void refuse_others();
    void ask_about_health();
    void download_somehow();
    void download_halves(const artifact& what);
    void download_compressed(const artifact& what, std::string_view coding);
    void pipeline();
    void send_slowly();
    void stall();
    void leave_early();

    boost::json::object unique_c();
    boost::json::object unique_cpp();
    boost::json::object unique_files();
    boost::json::object pooled();

    composed compose(std::string_view method, std::string_view target, const header_list& fields = {},
                     std::string_view body = {});
    composed compose_compile(const boost::json::object& request);

    bool connect();
    // Sends and receives; nothing when there is no answer, which is booked.
    std::optional<http_answer> exchange(const composed& what);
    std::optional<http_answer> receive(const composed& what);
    void unanswered(const std::string& id);
    // Whether the answer is one of those that are wanted. Others are violations, unless the fault
    // that is on explains them.
    bool judge(kind which, const composed& what, const http_answer& answer, std::initializer_list<wanted> accepted);
    bool read_artifacts(const boost::json::object& request, const composed& what, const http_answer& answer);
    bool check_hash(const artifact& what, std::string_view bytes, std::string_view how);

    world& world_;
    unsigned number_;
    temper temper_;
    random_source random_;
    std::unique_ptr<http_client> connection_;
    std::uint64_t requests_{0};
};

}  // namespace sandboxd::test
