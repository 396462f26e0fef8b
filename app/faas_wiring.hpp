// From the configuration and what this host has to the settings of the deployments' service.
#pragma once

#include "config/config.hpp"
#include "faas/service.hpp"
#include "jail/jail.hpp"

namespace sandboxd::app {

faas::service_settings faas_settings(const config::settings& from, const jail::jail& wall);
faas::installer_settings install_settings(const config::settings& from);

}  // namespace sandboxd::app
