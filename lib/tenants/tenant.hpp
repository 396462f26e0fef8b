// Who a request's key belongs to.
#pragma once

#include "base/digest.hpp"
#include "base/metrics.hpp"
#include "tenants/scope.hpp"

#include <string>

namespace sandboxd::tenants {

struct tenant {
    std::string name;
    sha256_digest digest{};  // of the key
    scope_set scopes{};
    metrics::counter* requests{nullptr};  // of this tenant
};

}  // namespace sandboxd::tenants
