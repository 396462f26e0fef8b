// What can go wrong, by name: one enumerator a cause, one sentence a value, the same name on the wire
// (`code` in every error answer), in the metrics and in the logs.
//
// A service returns `result<T>` for whatever input, load or a client can cause. Exceptions are for what
// should not happen; they are caught once a request.
#pragma once

#include <boost/system/result.hpp>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

namespace sandboxd {

enum class errc {
    // The request.
    invalid_request = 1,
    unsupported_media_type,
    payload_too_large,
    unauthorized,
    insufficient_scope,
    forbidden,
    misdirected_request,
    target_too_long,
    header_too_large,
    not_found,
    method_not_allowed,
    method_not_implemented,
    version_not_supported,
    range_not_satisfiable,
    request_timeout,
    unprocessable,
    conflict,  // with another request, or with what is there
    precondition_failed,
    idempotency_key_reused,
    // The job: what it did, or which of its limits ended it.
    compile_error,
    timeout,
    output_limit,
    memory_limit,
    disk_limit,
    artifact_rejected,
    // A deployment's program.
    install_failed,
    start_failed,
    start_timeout,
    upstream_failed,
    upstream_timeout,
    // Load and life cycle.
    queue_full,
    queue_timeout,
    too_many_requests,
    // Limits of a key, in the keys file.
    tenant_request_limit,
    tenant_job_limit,
    tenant_cpu_limit,
    tenant_fuel_limit,
    tenant_deployment_limit,
    tenant_storage_limit,
    draining,
    disconnected,
    // The server.
    unavailable,
    index_unavailable,  // what servers have in common cannot be asked
    io,
    internal,
};

// The stable name on the wire: `compile_error`, `queue_full`, …
std::string_view name(errc code) noexcept;

// One English sentence for people, for when the place of the error knows nothing better.
std::string_view sentence(errc code) noexcept;

// A cause and what a person needs to mend it: what, where, and the cure.
struct error {
    errc code{errc::internal};
    std::string message;
};

inline error make_error(errc code) { return {code, std::string{sentence(code)}}; }

inline error invalid_request(std::string message) { return {errc::invalid_request, std::move(message)}; }
inline error unprocessable(std::string message) { return {errc::unprocessable, std::move(message)}; }
inline error unavailable(std::string message) { return {errc::unavailable, std::move(message)}; }

// What a system call was to do, and why it could not: `what: strerror(number)`.
error system_error(errc code, std::string what, int number = errno);

template <class T>
using result = boost::system::result<T, error>;

// Called by `result<T>::value()` on an error; such a call is a bug, so it becomes an exception.
[[noreturn]] void throw_exception_from_error(const error& e, const boost::source_location& where);

}  // namespace sandboxd
