#include "telemetry/tracer.hpp"

#include "base/digest.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <exception>
#include <iterator>
#include <utility>

namespace sandboxd::telemetry {

namespace {

constexpr std::size_t trace_id_bytes = 16;
constexpr std::size_t span_id_bytes = 8;
// What decides by chance: a fraction of 2^32.
constexpr std::size_t chance_bytes = 4;
// The client disconnected before the answer; see http/session.cpp.
constexpr unsigned status_client_closed = 499;

// The id that begins with these digits, which were drawn. Zeros are none.
template <std::size_t digits>
std::array<char, digits> id_of(std::string_view text) noexcept
{
    std::array<char, digits> made;
    std::ranges::copy(text.substr(0, digits), made.begin());
    if (std::ranges::all_of(made, [](char c) { return c == '0'; })) made.back() = '1';
    return made;
}

void describe(const http::completed& done, traced_request& its)
{
    const auto& x = done.request;
    auto& root = its.root();
    const auto method = method_of(x);
    std::string name{name_of(method)};
    root.set("http.request.method", method);
    if (x.route() != "unmatched") {
        name.append(" ").append(x.route());
        root.set("http.route", x.route());
    }
    root.rename(std::move(name));
    root.set("url.scheme", "http");
    root.set("network.protocol.version", x.version() == 10 ? "1.0" : "1.1");
    root.set("sandboxd.request.id", x.request_id());
    if (!its.code().empty()) root.set("sandboxd.error.code", its.code());
    const bool is_gone = done.status == status_client_closed;
    if (!is_gone) {
        root.set("http.response.status_code", done.status);
        root.set("http.response.body.size", done.body_bytes);
    }
    if (is_gone)
        root.fail("disconnected");
    else if (done.cut)
        root.fail("cut");
    else if (done.status >= 500)
        root.fail(its.code().empty() ? std::to_string(done.status) : std::string{its.code()});
}

}  // namespace

std::unique_ptr<traced_request> traced_request::part(std::string_view name) const
{
    return std::make_unique<traced_request>(mine_, given_, root_.child(name));
}

tracer::tracer(tracer_settings how, span_sender& to)
    : settings_{std::move(how)}, to_{to}, budget_{settings_.spans_per_sec}
{
}

std::string tracer::random(std::size_t bytes) const
{
    return settings_.random ? settings_.random(bytes) : random_hex(bytes);
}

span_id tracer::new_span_id()
{
    budget_.spend();
    return id_of<2 * span_id_bytes>(random(span_id_bytes));
}

std::chrono::steady_clock::time_point tracer::now() const
{
    return settings_.steady ? settings_.steady() : std::chrono::steady_clock::now();
}

void tracer::take(std::string span) { to_.take(std::move(span)); }

bool tracer::is_chosen(std::string_view digits) const noexcept
{
    std::uint32_t drawn = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), drawn, 16);
    return static_cast<double>(drawn) < settings_.sample_ratio * 4294967296.0;
}

std::unique_ptr<traced_request> tracer::begin(const std::optional<trace_context>& given, std::optional<bool> is_wanted)
{
    // By chance of our own: who chooses the id of his trace would else choose whether it is recorded.
    const auto digits = random(trace_id_bytes + span_id_bytes + chance_bytes);
    const std::string_view drawn{digits};
    trace_context mine;
    if (given) {
        mine = *given;
    } else {
        mine.trace = id_of<2 * trace_id_bytes>(drawn);
        mine.span = id_of<2 * span_id_bytes>(drawn.substr(2 * trace_id_bytes));
    }
    if (!is_wanted) is_wanted = is_chosen(drawn.substr(2 * (trace_id_bytes + span_id_bytes)));
    const auto time = now();
    const bool is_admitted = *is_wanted && budget_.admit(time);
    if (*is_wanted && !is_admitted) to_.refuse();
    if (!is_admitted) return std::make_unique<traced_request>(mine, given, span{});
    const day_time times{.day = settings_.day ? settings_.day() : std::chrono::system_clock::now(), .steady = time};
    std::optional<span_id> parent;
    if (given) parent = given->span;
    return std::make_unique<traced_request>(
        mine, given, span{*this, mine.trace, parent, given.has_value(), times, "HTTP", span_kind::server, time});
}

std::optional<trace_context> given_context(const http::exchange& x) noexcept
{
    const auto [first, last] = x.fields().equal_range("traceparent");
    if (first == last || std::next(first) != last) return std::nullopt;
    return read_traceparent({first->value().data(), first->value().size()});
}

std::string_view method_of(const http::exchange& x) noexcept
{
    using http::verb;
    switch (x.method()) {
        case verb::get: return "GET";
        case verb::head: return "HEAD";
        case verb::post: return "POST";
        case verb::put: return "PUT";
        case verb::delete_: return "DELETE";
        case verb::options: return "OPTIONS";
        case verb::patch: return "PATCH";
        case verb::connect: return "CONNECT";
        case verb::trace: return "TRACE";
        default: return "_OTHER";
    }
}

std::string_view name_of(std::string_view method) noexcept { return method == "_OTHER" ? "HTTP" : method; }

traced_request* of(const http::exchange& x) noexcept
{
    // Nobody else keeps anything of a request.
    return static_cast<traced_request*>(x.trace());
}

span child_of(const http::exchange& x, std::string_view name, span_kind kind)
{
    auto* const its = of(x);
    return its ? its->root().child(name, kind) : span{};
}

std::optional<propagation> passed_on(const http::exchange& x, const span& child)
{
    auto* const its = of(x);
    if (!its) return std::nullopt;
    if (!its->is_recorded()) {
        // Nobody but its sender has a part in it that one could find.
        if (its->given()) return std::nullopt;
        return propagation{.traceparent = write_traceparent(its->context())};
    }
    const auto& from = child.is_recorded() ? child : its->root();
    propagation made{.traceparent = write_traceparent(from.context())};
    if (!its->given()) return made;
    std::array<std::string_view, most_tracestate_members> values;
    std::size_t count = 0;
    const auto [first, last] = x.fields().equal_range("tracestate");
    for (auto one = first; one != last; ++one) {
        // More lines than there may be entries.
        if (count == values.size()) return made;
        values[count++] = {one->value().data(), one->value().size()};
    }
    made.tracestate = read_tracestate({values.data(), count});
    return made;
}

std::string_view sampling_of(const http::exchange& x) noexcept
{
    const auto* const its = of(x);
    if (!its) return {};
    return its->is_recorded() ? "1" : "0";
}

std::optional<bool> decided_before(const http::exchange& x) noexcept
{
    if (!x.from().fleet) return std::nullopt;
    const auto found = x.fields().find(boost::beast::string_view{sampling_field.data(), sampling_field.size()});
    if (found == x.fields().end()) return std::nullopt;
    if (found->value() == "1") return true;
    if (found->value() == "0") return false;
    return std::nullopt;
}

std::string traceparent_of(const http::exchange& x, const span& child)
{
    if (auto* const its = of(x)) {
        if (child.is_recorded()) return write_traceparent(child.context());
        return write_traceparent(its->is_recorded() ? its->root().context() : its->context());
    }
    const auto given = given_context(x);
    return given ? write_traceparent(*given) : std::string{};
}

void begin_part(const http::exchange& whole, http::exchange& part, std::string_view name)
{
    if (auto* const its = of(whole)) part.set_trace(its->part(name));
}

void end_part(const http::exchange& part)
{
    auto* const its = of(part);
    if (!its || !its->is_recorded()) return;
    if (!its->code().empty()) {
        its->root().set("sandboxd.error.code", its->code());
        its->root().fail(its->code());
    }
    its->root().end();
}

void fail(const http::exchange& x, std::string_view code) noexcept
{
    auto* const its = of(x);
    if (its && !code.empty()) its->fail(code);
}

void end(const http::completed& done) noexcept
{
    auto* const its = of(done.request);
    if (!its || !its->is_recorded()) return;
    try {
        describe(done, *its);
    } catch (const std::exception&) {
        its->root().drop();  // there is no memory for all of it
    }
    its->root().end();
}

}  // namespace sandboxd::telemetry
