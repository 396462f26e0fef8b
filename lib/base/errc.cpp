#include "base/errc.hpp"

#include <boost/assert/source_location.hpp>

#include <cstring>
#include <stdexcept>

namespace sandboxd {

namespace {

struct entry {
    std::string_view name;
    std::string_view sentence;
};

constexpr entry describe(errc code) noexcept
{
    switch (code) {
        case errc::invalid_request: return {"invalid_request", "the request is not valid"};
        case errc::unsupported_media_type: return {"unsupported_media_type", "send the body as application/json"};
        case errc::payload_too_large: return {"payload_too_large", "the body is too large"};
        case errc::unauthorized: return {"unauthorized", "this needs a key: send Authorization: Bearer KEY"};
        case errc::insufficient_scope: return {"insufficient_scope", "this key may not be used for that"};
        case errc::forbidden: return {"forbidden", "this page may not use this server"};
        case errc::misdirected_request: return {"misdirected_request", "this server does not answer for that host"};
        case errc::target_too_long: return {"target_too_long", "the request target is too long"};
        case errc::header_too_large: return {"header_too_large", "the request header is too large"};
        case errc::not_found: return {"not_found", "there is nothing here"};
        case errc::method_not_allowed: return {"method_not_allowed", "this path does not take that method; see Allow"};
        case errc::method_not_implemented: return {"method_not_implemented", "this server does not know that method"};
        case errc::version_not_supported: return {"version_not_supported", "this server speaks HTTP/1.1 and HTTP/1.0"};
        case errc::range_not_satisfiable: return {"range_not_satisfiable", "the range lies outside the artifact"};
        case errc::request_timeout: return {"request_timeout", "the request did not arrive in time"};
        case errc::unprocessable: return {"unprocessable", "this server cannot do what the request asks for"};
        case errc::conflict: return {"conflict", "this request conflicts with another one"};
        case errc::precondition_failed: return {"precondition_failed", "it is not what If-Match names"};
        case errc::idempotency_key_reused:
            return {"idempotency_key_reused",
                    "this Idempotency-Key was sent with another request; send a new key with a new request"};
        case errc::compile_error: return {"compile_error", "the compiler rejected the source"};
        case errc::timeout: return {"timeout", "the job exceeded its time limit"};
        case errc::output_limit: return {"output_limit", "the job exceeded its output limit"};
        case errc::memory_limit: return {"memory_limit", "the job exceeded its memory limit"};
        case errc::disk_limit: return {"disk_limit", "the job exceeded its disk limit"};
        case errc::artifact_rejected:
            return {"artifact_rejected", "the job's output is not a regular file that can be served"};
        case errc::install_failed: return {"install_failed", "the packages could not be installed"};
        case errc::start_failed: return {"start_failed", "the program does not run"};
        case errc::start_timeout: return {"start_timeout", "the program did not accept connections in time"};
        case errc::upstream_failed: return {"upstream_failed", "the program did not send a valid answer"};
        case errc::upstream_timeout: return {"upstream_timeout", "the program did not answer in time"};
        case errc::queue_full: return {"queue_full", "too many jobs are waiting; try again later"};
        case errc::queue_timeout: return {"queue_timeout", "the job waited too long for its turn; try again later"};
        case errc::too_many_requests: return {"too_many_requests", "this client has too many requests under way"};
        case errc::tenant_request_limit: return {"tenant_request_limit", "this key has sent too many requests"};
        case errc::tenant_job_limit: return {"tenant_job_limit", "this key has too many jobs under way"};
        case errc::tenant_cpu_limit: return {"tenant_cpu_limit", "this key has used up its processor time for today"};
        case errc::tenant_fuel_limit: return {"tenant_fuel_limit", "this key has used up its fuel for today"};
        case errc::tenant_deployment_limit:
            return {"tenant_deployment_limit", "this key already has as many deployments as it may have"};
        case errc::tenant_storage_limit:
            return {"tenant_storage_limit", "this key already stores as many bytes as it may store"};
        case errc::draining: return {"draining", "the server is shutting down"};
        case errc::disconnected: return {"disconnected", "the client went away"};
        case errc::unavailable: return {"unavailable", "the service is not available"};
        case errc::index_unavailable:
            return {"index_unavailable",
                    "what this server has in common with others cannot be asked now; try again in a moment"};
        case errc::io: return {"io", "reading or writing a file failed"};
        case errc::internal: break;
    }
    return {"internal", "the server failed internally; its log has the cause under the request id"};
}

}  // namespace

std::string_view name(errc code) noexcept { return describe(code).name; }

std::string_view sentence(errc code) noexcept { return describe(code).sentence; }

error system_error(errc code, std::string what, int number)
{
    return {code, std::move(what) + ": " + std::strerror(number)};
}

void throw_exception_from_error(const error& e, const boost::source_location& where)
{
    throw std::logic_error("unhandled error '" + std::string{name(e.code)} + "' at " + where.to_string() + ": " +
                           e.message);
}

}  // namespace sandboxd
