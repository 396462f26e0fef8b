// Passes requests on to the server that owns a deployment, where servers share their deployments. What this one has a
// seat for, it answers itself.
//
// A request goes to one server at most, and not twice to any: while its connection does not come about, nothing of it
// was sent, and it waits until the lease of a server that is gone ends; once it is sent, whatever comes of it is the
// answer. A server that is asked by another one answers itself, or not at all.
#pragma once

#include "api/services.hpp"
#include "http/exchange.hpp"

#include <boost/asio/awaitable.hpp>

#include <string>

namespace sandboxd::api {

enum class passed {
    here,      // this server runs it, or will: its handler goes on at once
    answered,  // by the one that does; the handler returns an empty response
    elsewhere  // on another server, and the request has no connection on which an answer could be passed back
};

// What a request is to the deployment.
enum class errand {
    // Its program answers: the owner's, or where this server has a seat its own. A program gets no key of this server,
    // which another one may not know yet.
    program,
    owner,   // the owner itself answers, and has the files for it
    removal  // the same, without the files
};

// Errors: those of faas::service::settle; queue_full (too many wait); index_unavailable (no server could be reached);
// those of proxy::forwarder::forward before an answer has begun.
boost::asio::awaitable<result<passed>> pass_to_owner(services& with, http::exchange& x, std::string id, errand what);

}  // namespace sandboxd::api
