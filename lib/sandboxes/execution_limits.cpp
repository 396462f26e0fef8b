#include "sandboxes/execution_limits.hpp"

#include <string>

namespace sandboxd::sandboxes {

result<execution_limits> settle(const asked_limits& asked, const execution_limits& usual, const execution_limits& most)
{
    execution_limits made = usual;
    for (std::size_t i = 0; i < limit_table.size(); ++i) {
        if (!asked[i]) continue;
        const auto& row = limit_table[i];
        const auto highest = most.*row.value;
        if (*asked[i] < row.least || *asked[i] > highest)
            return error{errc::invalid_request, std::string{row.name} + " must be " + std::to_string(row.least) +
                                                    " to " + std::to_string(highest) + " (" +
                                                    std::string{row.most_key} + ")"};
        made.*row.value = *asked[i];
    }
    return made;
}

}  // namespace sandboxd::sandboxes
