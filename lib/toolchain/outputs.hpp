// What one job makes where it may write. A compile of several commands has several jobs, one after the other, in the
// same directories: what the earlier ones have made there stays.
#pragma once

#include "jail/jail.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <set>
#include <string>
#include <vector>

namespace sandboxd::toolchain {

class outputs {
public:
    // Made before the job begins: what is there now is not the job's.
    explicit outputs(const sandboxd::jail::spec& job);

    // Removes what has come since. What cannot be removed is in the way of the next run, which says so.
    boost::asio::awaitable<void> remove_new() const;

private:
    struct place {
        std::string path;
        std::set<std::string, std::less<>> names;
    };
    std::vector<place> places_;  // those that could be listed
};

}  // namespace sandboxd::toolchain
