// Every endpoint, in one table.
//
//     GET      /healthz                  "ok" while the process serves
//     GET      /livez                    the same, under Kubernetes' name
//     GET      /readyz                   200 when work can be taken, else 503 with the reasons
//     GET      /metrics                  Prometheus text
//     GET      /version                  versions of server and toolchain, the jail and its walls
//     GET      /openapi.json             this table and the rest of the API, described for programs
//     POST     /compile                  C or C++ in, WebAssembly out
//     GET      /artifacts/{id}/{name}    what a compile produced
//     POST     /execute                  JavaScript in, its result out; sandboxes that can be reused
//     POST     /api/execute              the same with a log, for JSON and forms; example scripts
//     GET      /api/examples             which example scripts there are
//     GET      /api/examples/{name}      one of them
//     GET      /runtimes                 what sandboxes and deployments can be made of
//     GET      /health                   {"status":"healthy"} while sandboxes can be used
//     POST     /sandbox                  a program that runs to its end
//     GET      /sandboxes                all of them; GET /sandbox, too
//     GET      /sandbox/{id}             one
//     DELETE   /sandbox/{id}             its processes and files, at once
//     POST     /sandbox/{id}/execute     runs it: what it printed, and how it ended
//     POST     /faas/deploy                    a program that listens, with its files and packages
//     GET      /faas/deployments               all of them
//     GET      /faas/deployments/{id}          one
//     PUT      /faas/deployments/{id}/files    adds and replaces files, all or none
//     DELETE   /faas/deployments/{id}          its processes and files, at once
//     GET      /faas/deployments/{id}/logs     its last lines
//     *        /faas/{id}/…                    the deployment's own answer, whatever the method
//     *        /proxy/{sandbox_id}/…           the same, by the id of the sandbox that it runs in
//     *        {id}.<faas.baseDomain>/…        the same, where deployments have host names
//     GET      /api/health               {"status":"ok"} while scripts can be run
#pragma once

#include "api/services.hpp"
#include "http/server.hpp"

namespace sandboxd::api {

// Answers a request: finds its row, or 404, 405 and OPTIONS.
boost::asio::awaitable<http::response> handle(services& with, http::exchange& x);

// The server's hooks with access log and request metrics. Both arguments must outlive the server.
http::server::hooks make_hooks(services& with, metrics::registry& metrics);

}  // namespace sandboxd::api
