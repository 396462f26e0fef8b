// Runs a test's body over a service that is open, on the test's own loop.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <catch2/catch_test_macros.hpp>

#include <exception>
#include <functional>

namespace sandboxd::test {

// Opens and starts the service, runs the body and closes the service, also where the body throws. Returns what it threw
// when nothing runs any more, for the caller to throw it again.
template <class Service>
std::exception_ptr run_service(boost::asio::io_context& loop, Service& service,
                               const std::function<boost::asio::awaitable<void>(Service&)>& body)
{
    REQUIRE(service.open().has_value());
    service.start();
    std::exception_ptr thrown;
    boost::asio::co_spawn(loop, body(service), [&](std::exception_ptr e) {
        thrown = e;
        service.close();
    });
    loop.run();
    loop.restart();
    return thrown;
}

}  // namespace sandboxd::test
