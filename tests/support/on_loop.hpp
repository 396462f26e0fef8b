// Runs an awaitable to its end on a loop of its own and hands back what it returned.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <optional>
#include <utility>

namespace sandboxd::test {

template <class T>
T on_loop(boost::asio::awaitable<T> work)
{
    boost::asio::io_context loop;
    std::optional<T> returned;
    boost::asio::co_spawn(loop, std::move(work), [&returned](std::exception_ptr failed, T value) {
        if (failed) std::rethrow_exception(failed);
        returned.emplace(std::move(value));
    });
    loop.run();
    return std::move(returned).value();
}

}  // namespace sandboxd::test
