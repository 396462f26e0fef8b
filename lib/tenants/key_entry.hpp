// A key as it is written: in the keys file, in a request that makes one, in Redis. All are read strictly: an unknown
// member may be a misspelt one, and a key that can do more than was meant is worse than one that is not taken.
#pragma once

#include "base/digest.hpp"
#include "base/errc.hpp"
#include "base/json_reader.hpp"
#include "tenants/account.hpp"
#include "tenants/scope.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::tenants {

struct key_entry {
    std::string name;  // the tenant's
    sha256_digest digest{};
    scope_set scopes{};
    limit_set limits{};

    bool operator==(const key_entry&) const = default;
};

// 1 to 64 letters, digits, '-', '_' and '.', the first of them a letter or a digit. Pure.
bool is_tenant_name(std::string_view name) noexcept;

// What its members say, before they are checked.
struct written_key {
    std::string name{};
    std::vector<std::string> scopes{};
    std::array<std::int64_t, limit_count> limits{};  // 0: left out
};

// Declares `name`, `scopes` and `limits`, and that there are no other members but those that the caller declares.
// `into` must outlive the reading.
void add_key_members(json_members& its, written_key& into);

// The key that is meant, without its digest. `place`: what messages have before the names of members, "keys[3].".
// Error: invalid_request. Pure.
result<key_entry> check_key(const written_key& said, std::string_view place = {});

// Of 64 lower-case hexadecimal digits. Nullopt: it is something else. Pure.
std::optional<sha256_digest> read_digest(std::string_view text) noexcept;

// As the members are written: ["compile", "admin"], {"fuelPerDay": 5}.
boost::json::array to_json(const scope_set& scopes);
boost::json::object to_json(const limit_set& limits);

}  // namespace sandboxd::tenants
