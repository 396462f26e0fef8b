// A plain, blocking HTTP client for tests: one connection, kept alive; and the same socket for raw bytes.
#pragma once

#include "support/answer_record.hpp"

#include <boost/json/value.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sandboxd::test {

class server_process;

using header_list = std::vector<std::pair<std::string, std::string>>;

struct http_answer {
    unsigned status{0};                         // 0: the connection ended before an answer came
    std::map<std::string, std::string> fields;  // names in lower case; repeated ones joined with ", "
    std::string body;

    std::string field(const std::string& lower_name) const;
    boost::json::value json() const;  // throws when the body is no JSON
};

class http_client {
public:
    explicit http_client(const server_process& server);
    explicit http_client(std::uint16_t port);
    explicit http_client(const std::string& unix_path);
    ~http_client();
    http_client(const http_client&) = delete;
    http_client& operator=(const http_client&) = delete;

    http_answer get(std::string_view target, const header_list& fields = {});
    http_answer head(std::string_view target, const header_list& fields = {});
    http_answer request(std::string_view method, std::string_view target, const header_list& fields = {},
                        std::string_view body = {});
    // POST with Content-Type: application/json.
    http_answer post(std::string_view target, const boost::json::value& body, const header_list& fields = {});
    // The same without waiting for the answer: `receive` it later.
    void start_post(std::string_view target, const boost::json::value& body, const header_list& fields = {});

    // Raw bytes. False when the peer has closed.
    bool send(std::string_view bytes);
    // Ends our half: the server reads an end of file.
    void shutdown_send();
    // One answer; `to_head` when the request was a HEAD (no body follows). Answers before it (100, 103) are skipped,
    // chunks taken apart.
    http_answer receive(bool to_head = false);
    // Everything until the server closes.
    std::string receive_all();
    // Whether the server has closed the connection; waits for it up to `patience`.
    bool closed_within(std::chrono::milliseconds patience);
    // Whether it closes at all, in the time that a test may take.
    bool closed() { return closed_within(std::chrono::minutes{2}); }
    // Whether there is something to read now, or the end.
    bool readable() const;
    // Closes now. Unread bytes in the socket make it a reset.
    void close();

    int native() const noexcept { return fd_; }

private:
    bool fill();
    http_answer receive_answer(bool to_head);
    http_answer receive_chunks(http_answer answer);
    void send_request(std::string_view method, std::string_view target, const header_list& fields,
                      std::string_view body);

    int fd_{-1};
    std::string buffer_;
    answer_record record_;
};

}  // namespace sandboxd::test
