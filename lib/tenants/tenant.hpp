// Who a request's key belongs to.
#pragma once

#include "base/client_key.hpp"
#include "base/digest.hpp"
#include "tenants/account.hpp"
#include "tenants/scope.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace sandboxd::tenants {

// What a tenant's requests count for in place of an address: the same from wherever they come, and no address.
client_key client_of_tenant(std::string_view name) noexcept;

struct tenant {
    std::string name;
    client_key client{};     // client_of_tenant(name)
    sha256_digest digest{};  // of the key
    scope_set scopes{};
    std::shared_ptr<tenants::account> account{};  // what he may use, and has used; never null in a key_table
};

}  // namespace sandboxd::tenants
