// Keeps what the server answers, for the test that compares it with the API's description
// (tests/description/answers.mjs). Only if SANDBOXD_TEST_ANSWERS names a directory.
#pragma once

#include <deque>
#include <string>
#include <string_view>

namespace sandboxd::test {

struct http_answer;

// Of one connection.
class answer_record {
public:
    // Bytes that go to the server. Those that begin a request are told by their first line.
    void sent(std::string_view bytes);
    // A whole answer: to the oldest request that has none.
    void got(const http_answer& answer);

private:
    struct request {
        std::string method;
        std::string target;
        std::string host;
    };
    std::deque<request> waiting_;
};

}  // namespace sandboxd::test
