// Who a request's key belongs to.
#pragma once

#include "base/client_key.hpp"
#include "base/digest.hpp"
#include "base/metrics.hpp"
#include "tenants/scope.hpp"

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
    metrics::counter* requests{nullptr};  // of this tenant
};

}  // namespace sandboxd::tenants
