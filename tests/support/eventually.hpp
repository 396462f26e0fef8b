// Waits for something to become true: asks again and again. For what gives no event to wait for; a test that
// uses it is over as soon as the answer is yes, and fails only when it never comes.
#pragma once

#include <chrono>
#include <thread>

namespace sandboxd::test {

template <class Predicate>
bool eventually(Predicate is_true, std::chrono::seconds patience = std::chrono::seconds{60})
{
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!is_true()) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds{10});  // a pause between polls
    }
    return true;
}

}  // namespace sandboxd::test
