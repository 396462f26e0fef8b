#include "sandboxes/execution_limits.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <limits>

using namespace sandboxd;
using namespace sandboxd::sandboxes;

TEST_CASE("execution_limits are what was asked for, within what may be", "[sandboxes]")
{
    const sandboxes::execution_limits usual{
        .wall_ms = 10, .memory_mb = 20, .cpu_secs = 30, .processes = 40, .output_bytes = 50, .disk_mb = 60};
    const sandboxes::execution_limits most{
        .wall_ms = 100, .memory_mb = 200, .cpu_secs = 300, .processes = 400, .output_bytes = 500, .disk_mb = 600};
    CHECK(settle({}, usual, most).value() == usual);
    for (std::size_t i = 0; i < limit_table.size(); ++i) {
        const auto& row = limit_table[i];
        CAPTURE(row.name);
        for (const auto fine : {std::int64_t{1}, usual.*row.value + 1, most.*row.value}) {
            asked_limits asked;
            asked[i] = fine;
            auto expected = usual;
            expected.*row.value = fine;
            CHECK(settle(asked, usual, most).value() == expected);
        }
        for (const auto wrong : {std::int64_t{0}, std::int64_t{-1}, most.*row.value + 1,
                                 std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
            asked_limits asked;
            asked[i] = wrong;
            const auto refused = settle(asked, usual, most);
            REQUIRE(refused.has_error());
            CHECK(refused.error().code == errc::invalid_request);
            CHECK(refused.error().message.starts_with(std::string{row.name} + " must be 1 to "));
            CHECK(refused.error().message.find(row.most_key) != std::string::npos);
        }
    }
}
