#include "http/giving_up.hpp"

namespace sandboxd::http {

namespace {

// How long a body or an answer may take while others wait for a connection.
constexpr auto patience_when_full = std::chrono::seconds{5};

}  // namespace

given_up for_a_connection(const session_list& all, clock::time_point now) noexcept
{
    if (auto* const one = all.oldest(phase::idle)) return {one, unfinished::nothing};
    if (auto* const one = all.oldest(phase::header)) return {one, unfinished::header};
    const auto patient_since = now - patience_when_full;
    if (auto* const one = all.oldest(phase::body); one && one->began_by(patient_since)) return {one, unfinished::body};
    // A client that reads slowly, or has an endless answer, could keep its place for ever.
    for (const bool of_busiest : {true, false}) {
        for (const phase which : {phase::sending, phase::endless}) {
            auto* const one = of_busiest ? all.oldest_of_busiest(which) : all.oldest(which);
            if (one && one->began_by(patient_since)) return {one, unfinished::answer};
        }
    }
    return {};
}

session_entry* for_a_connection_of(const client_key& client, const session_list& all) noexcept
{
    for (const phase which : {phase::idle, phase::header, phase::body})
        if (auto* const oldest = all.oldest_of(client, which)) return oldest;
    return nullptr;
}

given_up for_received_bytes(const session_list& all, const session_entry& asking) noexcept
{
    if (auto* const one = all.oldest(phase::body, &asking)) return {one, unfinished::body};
    // There is no list of clients by what they have sent ahead of an answer.
    session_entry* most = nullptr;
    all.each([&](session_entry& one) {
        if (&one != &asking && one.received() > (most ? most->received() : 0)) most = &one;
    });
    return {most, unfinished::header};
}

session_entry* for_unsent_bytes(const session_list& all, const session_entry& asking) noexcept
{
    return all.oldest(phase::sending, &asking);
}

}  // namespace sandboxd::http
