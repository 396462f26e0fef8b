#include "api/mcp.hpp"

#include "base/utf8.hpp"
#include "mcp/rpc.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace sandboxd::api {

namespace {

constexpr std::array<std::pair<int, std::string_view>, 7> rpc_codes{
    {{mcp::code::parse_error, "parse_error"},
     {mcp::code::invalid_request, "invalid_request"},
     {mcp::code::method_not_found, "method_not_found"},
     {mcp::code::invalid_params, "invalid_params"},
     {mcp::code::header_mismatch, "header_mismatch"},
     {mcp::code::unsupported_version, "unsupported_version"},
     // And all others.
     {mcp::code::internal_error, "internal_error"}}};

constexpr std::array<std::string_view, call_outcomes> outcome_names{"ok", "error", "cancelled", "gone"};

}  // namespace

mcp_counts::mcp_counts(metrics::registry& into, const std::vector<std::string>& tools)
{
    constexpr std::string_view calls = "sandboxd_mcp_calls_total";
    constexpr std::string_view help =
        "Calls of tools by agents, by tool and outcome (error: the tool's own; gone: the client has left).";
    for (const auto& tool : tools) {
        auto& mine = calls_[tool];
        for (std::size_t i = 0; i < call_outcomes; ++i)
            mine[i] = &into.add_counter(calls, help,
                                        "tool=\"" + tool + "\",outcome=\"" + std::string{outcome_names[i]} + "\"");
    }
    for (std::size_t i = 0; i < rpc_codes.size(); ++i)
        refused_.push_back(&into.add_counter("sandboxd_mcp_refused_total",
                                             "Messages of agents answered with an error of the protocol, by its code.",
                                             "code=\"" + std::string{rpc_codes[i].second} + "\""));
}

void mcp_counts::called(std::string_view tool, call_outcome how)
{
    if (const auto found = calls_.find(tool); found != calls_.end())
        found->second[static_cast<std::size_t>(how)]->add();
}

void mcp_counts::refused(int code)
{
    // A resource that is not there has a code of its own in revisions before 2026-07-28.
    constexpr int not_found_before = -32002;
    if (code == not_found_before) code = mcp::code::invalid_params;
    const auto known = std::ranges::find(rpc_codes, code, &std::pair<int, std::string_view>::first);
    const auto last = rpc_codes.size() - 1;
    refused_[std::min(static_cast<std::size_t>(known - rpc_codes.begin()), last)]->add();
}

mcp_calls::running::running(mcp_calls& in, call_name its, async::stop_source& stop)
    : in_{in}, stop_{stop}, place_{in.all_.end()}
{
    if (!its.session.empty()) place_ = in.all_.emplace(std::move(its), this);
    ++in_.running_;
}

mcp_calls::running::~running()
{
    --in_.running_;
    if (place_ != in_.all_.end()) in_.all_.erase(place_);
}

bool mcp_calls::cancel(const call_name& which)
{
    if (which.session.empty() || which.id.empty()) return false;
    std::vector<running*> ended;
    const auto [first, last] = all_.equal_range(which);
    for (auto at = first; at != last; ++at) ended.push_back(at->second);
    for (auto* const one : ended) {
        one->cancelled_ = true;
        one->stop_.request(errc::disconnected);
    }
    return !ended.empty();
}

namespace {

// The last place, not behind `at`, where the content of a string of JSON can be cut: not within a character or an
// escape. Looks at a few bytes, however long the content is, except for a run of backslashes.
std::size_t cut_place(std::string_view content, std::size_t at)
{
    constexpr std::size_t longest_escape = 6;
    while (at > 0 && (static_cast<unsigned char>(content[at]) & 0xc0) == 0x80) --at;
    std::size_t run = 0;
    std::size_t run_end = 0;  // of the run of backslashes that was looked at last
    for (auto from = at - std::min(at, longest_escape - 1); from < at; ++from) {
        if (content[from] != '\\') continue;
        if (run_end != from) {
            run = from;
            while (run > 0 && content[run - 1] == '\\') --run;
        }
        run_end = from + 1;
        if ((from - run) % 2 != 0) continue;  // it is escaped itself
        const auto size = content[from + 1] == 'u' ? longest_escape : 2;
        if (from + size > at) return from;
    }
    return at;
}

// The content of a string of JSON, without its middle: about so many bytes, and a note of what is gone.
std::string cut_middle(std::string_view content, std::size_t most)
{
    const auto head = cut_place(content, most / 4 * 3);
    const auto tail = cut_place(content, content.size() - most / 4);
    std::string made{content.substr(0, head)};
    made.append("\\n[… ").append(std::to_string(tail - head)).append(" bytes are left out …]\\n");
    return made.append(content.substr(tail));
}

std::string cut_value(std::string_view value, std::size_t most)
{
    if (value.starts_with('"')) return '"' + cut_middle(value.substr(1, value.size() - 2), most) + '"';
    if (value.starts_with('[')) {
        std::string made = "[";
        // Of those that may fit alone; the last may be cut itself.
        auto items = mcp::items_of(value.substr(0, most));
        if (value.size() > most && !items.empty()) items.pop_back();
        for (const auto item : items) {
            if (made.size() + item.size() + 2 > most) break;
            if (made.size() > 1) made += ',';
            made += item;
        }
        return made += ']';
    }
    // A quote becomes two characters.
    return mcp::json_quoted(std::string{utf8_prefix(value, most / 2)} + " [… " + std::to_string(value.size()) +
                            " bytes of JSON, cut …]");
}

}  // namespace

std::string cut_output(std::string_view object, std::size_t most, bool& is_cut)
{
    return cut_output(object, mcp::members_of(object), most, is_cut);
}

std::string cut_output(std::string_view object, const std::vector<mcp::named_value>& members, std::size_t most,
                       bool& is_cut)
{
    is_cut = object.size() > most;
    if (!is_cut) return std::string{object};
    // The largest length that lets all fit, each cut to it; a small one leaves its share to the others.
    std::vector<std::size_t> sizes;
    for (const auto& [name, value] : members) sizes.push_back(value.size());
    std::ranges::sort(sizes);
    constexpr std::size_t least = 256;
    std::size_t left = most;
    std::size_t limit = least;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        const auto share = left / (sizes.size() - i);
        if (sizes[i] > share) {
            limit = std::max(least, share);
            break;
        }
        left -= sizes[i];
    }
    std::string made = "{";
    std::string cut_names;
    for (const auto& [name, value] : members) {
        made.append(name) += ':';
        if (value.size() <= limit) {
            made.append(value);
        } else {
            made += cut_value(value, limit);
            if (!cut_names.empty()) cut_names += ',';
            cut_names += name;
        }
        made += ',';
    }
    return made.append(R"("cut":[)").append(cut_names).append("]}");
}

}  // namespace sandboxd::api
