// From the configuration, and from where this program lies on the host, to the settings of everything that it puts
// together: one function for each. What a setting means is told where it is declared; its key and its bounds, in
// config/config.hpp.
#pragma once

#include "admission/gate.hpp"
#include "artifacts/store.hpp"
#include "compile/emcc.hpp"
#include "compile/service.hpp"
#include "config/config.hpp"
#include "faas/service.hpp"
#include "http/server.hpp"
#include "jail/jail.hpp"
#include "js/service.hpp"
#include "programs/table.hpp"
#include "proxy/forwarder.hpp"
#include "sandboxes/service.hpp"

#include <string>

namespace sandboxd::app {

http::limits http_limits(const config::settings& all);
proxy::forwarder_limits proxy_limits(const config::settings& from);

// Of compiles, and of sandboxes' executions. Reads which processors are this process'.
admission::settings gate_settings(const config::settings& from);
admission::settings sandbox_gate_settings(const config::settings& from);

// Without the cgroups of jobs. `instance_id`: of this server.
jail::settings jail_settings(const config::settings& from, const std::string& instance_id);

// Where `toolchain.path` is the default, EMSDK and PATH of the environment count, too.
compile::emcc_settings emcc_settings(const config::settings& from);
// `wall`: in which compiles run.
compile::settings compile_settings(const config::settings& from, const jail::jail& wall);
artifacts::settings store_settings(const config::settings& from);
js::service_settings js_settings(const config::settings& all);

// Where the programs of runtimes are: configured, next to this one, or on toolchain.path.
programs::program_places programs_of(const config::settings& from);
// sandboxd-init: `faas.initPath`, or next to this program.
std::string init_of(const config::settings& from);
sandboxes::service_settings sandbox_settings(const config::settings& from);
faas::service_settings faas_settings(const config::settings& from);
faas::installer_settings install_settings(const config::settings& from, const programs::program_places& there);

}  // namespace sandboxd::app
