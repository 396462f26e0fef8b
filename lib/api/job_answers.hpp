// Jobs (jobs/job_list.hpp) as answers.
#pragma once

#include "api/once.hpp"
#include "jobs/job_list.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace sandboxd::api {

// The answer of a job that is over, as its events and GET /jobs/{id} tell it: {"status": …, "answer": …}. In three
// pieces, of which the middle one may be long, and is the answer's own.
struct told_answer {
    std::string head;
    std::string_view body;
    std::string_view tail;
};
told_answer tell_answer(const http::response& answer);

// Has the request answered by a job, and says where it is; or answers it, if it is over within `wait`.
boost::asio::awaitable<http::response> answer_later(services& with, http::exchange& x, posted row,
                                                    waiting_preference how);

// Has the request answered by a job that ends with the client, and streams its events.
boost::asio::awaitable<http::response> stream_progress(services& with, http::exchange& x, posted row);

}  // namespace sandboxd::api
