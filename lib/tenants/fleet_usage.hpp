// What several servers count of a tenant together, so that his limits hold for all of them. lib/cluster has the one
// that there is.
#pragma once

#include "base/errc.hpp"
#include "tenants/account.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>

namespace sandboxd::tenants {

class fleet_usage {
public:
    // Counts one more request of the tenant's. Errors: index_unavailable; then nobody knows what the others count.
    virtual boost::asio::awaitable<result<minute>> count_request(std::string tenant) = 0;

    // Tells the others what this server counts of him (account::here), and says what they do, all of them together.
    // Of two servers that do so at the same moment the second one is told what the first one counts. From then on they
    // are told of what ends here, too. Errors: index_unavailable.
    virtual boost::asio::awaitable<result<usage>> count(std::string tenant, std::shared_ptr<account> his) = 0;

protected:
    ~fleet_usage() = default;
};

}  // namespace sandboxd::tenants
