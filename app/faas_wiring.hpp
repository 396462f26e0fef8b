// From the configuration and what this host has to the runtimes, and to the settings of the two services that run
// programs with them: sandboxes and deployments.
#pragma once

#include "config/config.hpp"
#include "faas/service.hpp"
#include "http/proxy.hpp"
#include "programs/catalog.hpp"
#include "sandboxes/service.hpp"

namespace sandboxd::app {

// Where the programs of runtimes are: configured, next to this one, or on toolchain.path.
programs::program_places programs_of(const config::settings& from);
sandboxes::service_settings sandbox_settings(const config::settings& from);
// sandboxd-init: `faas.initPath`, or next to this program.
std::string init_of(const config::settings& from);

faas::service_settings faas_settings(const config::settings& from);
faas::installer_settings install_settings(const config::settings& from, const programs::program_places& there);

http::proxy_limits proxy_limits(const config::settings& from);

}  // namespace sandboxd::app
