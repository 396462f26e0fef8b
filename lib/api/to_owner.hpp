// Passes requests on to the server that owns a deployment, where servers share their deployments. What this one has a
// seat for, it answers itself.
//
// A request reaches one program at most, and not twice: while its connection does not come about, nothing of it was
// sent, and it waits until the lease of a server that is gone ends; once it is sent, whatever comes of it is the
// answer, unless the other server says that no program has had it, as the deployment has moved. A server that is asked
// by another one answers itself, or says that (421, and proxy::moved_field).
#pragma once

#include "api/services.hpp"
#include "http/exchange.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>

namespace sandboxd::api {

enum class passed {
    here,       // this server runs it, or will: its handler goes on at once
    answered,   // by the one that does; the handler returns an empty response
    elsewhere,  // on another server, and the request has no connection on which an answer could be passed back
    moved       // on another server, and it is another server that asks, for its program: it asks there
};

// What a request is to the deployment.
enum class errand {
    // Its program answers: the owner's, or where this server has a seat its own. A program gets no key of this server,
    // which another one may not know yet.
    program,
    owner,   // the owner itself answers, and has the files for it
    removal  // the same, without the files
};

// Errors: those of faas::service::settle; queue_full (too many wait); index_unavailable (no server could be reached, or
// the deployment keeps moving); those of proxy::forwarder::forward before an answer has begun.
boost::asio::awaitable<result<passed>> pass_to_owner(services& with, http::exchange& x, std::string id, errand what);

// The place of a request in the program, here or, once it is answered, elsewhere: then there is none. Where the
// deployment goes to another server before its program has the request, the request goes there. Errors: those of
// pass_to_owner and of faas::service::enter; misdirected_request: it has moved, and another server asks.
boost::asio::awaitable<result<std::optional<faas::service::lease>>> find_place(services& with, http::exchange& x,
                                                                               std::string id);

}  // namespace sandboxd::api
