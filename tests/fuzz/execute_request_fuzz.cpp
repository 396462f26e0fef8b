// Fuzzes the readers of what is posted to /execute and /api/execute: what passes is UTF-8, within the
// limits that a request may ask for, and no larger than it came.
#include "api/execute_request.hpp"
#include "api/media_type.hpp"
#include "base/utf8.hpp"
#include "require.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

using namespace sandboxd;

namespace {

void require_refusal(const error& why)
{
    require(why.code == errc::invalid_request);
    require(!why.message.empty() && is_valid_utf8(why.message));
}

void read_execute(std::string_view body)
{
    using std::chrono::milliseconds;
    constexpr script::run_limits defaults{.init_fuel = 10, .fuel = 10, .memory_bytes = 100, .wall = milliseconds{5}};
    constexpr script::run_limits most{
        .init_fuel = 1000, .fuel = 1000, .memory_bytes = 10'000, .wall = milliseconds{50}};
    const auto read = api::read_execute_request(body, defaults, most, 2);
    if (!read) return require_refusal(read.error());
    const auto& run = read->run;
    require(run.limits.fuel >= 1 && run.limits.fuel <= most.fuel);
    require(run.limits.init_fuel >= 1 && run.limits.init_fuel <= most.init_fuel);
    require(run.limits.memory_bytes >= 1 && run.limits.memory_bytes <= most.memory_bytes);
    require(run.limits.wall >= milliseconds{1} && run.limits.wall <= most.wall);
    require(is_valid_utf8(run.script) && run.script.size() <= body.size());
    require(!run.init_script || is_valid_utf8(*run.init_script));
    require(!read->sandbox_id || (is_valid_utf8(*read->sandbox_id) && read->sandbox_id->size() <= 512));
    require(run.modules.size() <= 2);
    for (const auto& one : run.modules) require(is_valid_utf8(one.name) && is_valid_utf8(one.source));
    // What is the service's business is not the client's.
    require(run.image.empty() && run.image_bytes == 0);
}

void require_parameters(const result<api::script_parameters>& read, std::string_view body)
{
    if (!read) return require_refusal(read.error());
    for (const auto* one : {&read->code, &read->file})
        require(!*one || (is_valid_utf8(**one) && (*one)->size() <= body.size()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view body{reinterpret_cast<const char*>(data), size};
    require(!(api::is_json(body) && api::is_form(body)));
    read_execute(body);
    require_parameters(api::read_script_form(body), body);
    require_parameters(api::read_script_json(body), body);
    require_parameters(api::read_script_multipart(body, "b"), body);
    const auto boundary = api::multipart_boundary(body);
    require(boundary.size() <= 70 && boundary.size() <= body.size());
    return 0;
}
