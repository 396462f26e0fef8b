// Asio, Beast and Process v2, compiled once for the whole program. From Boost 1.86 on Process is a library of its own,
// which Debian does not package (seen in 1.88): there the little of it that child.cpp uses is here.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
#include <boost/version.hpp>
#if BOOST_VERSION < 108600
#include <boost/process/v2/src.hpp>
#elif defined(SANDBOXD_PROCESS_IS_HEADERS)
#include <boost/process/v2/detail/last_error.hpp>
#include <boost/process/v2/detail/throw_error.hpp>
#include <boost/process/v2/error.hpp>
#include <boost/system/system_error.hpp>

#include <cerrno>
#include <string>

namespace boost::process::v2 {

namespace detail {

error_code get_last_error() { return {errno, boost::system::system_category()}; }

void throw_last_error() { throw boost::system::system_error{get_last_error()}; }

void do_throw_error(const error_code& err) { throw boost::system::system_error{err}; }

void do_throw_error(const error_code& err, const char* location) { throw boost::system::system_error{err, location}; }

}  // namespace detail

namespace error {

// They are referred to wherever the header is included. Nobody destroys a category through its base, which is why that
// has no virtual destructor.
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
struct sentences final : error_category {
    const char* name() const noexcept override { return "boost.process"; }
    std::string message(int value) const override { return "value " + std::to_string(value); }
};

const error_category& get_exit_code_category()
{
    static const sentences one;
    return one;
}

const error_category& get_utf8_category()
{
    static const sentences one;
    return one;
}

}  // namespace error

}  // namespace boost::process::v2
#endif
