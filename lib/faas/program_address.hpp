// Where a deployment's program listens inside its jail.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sandboxd::faas {

// TCP, on a loopback interface that no other jail sees; what the program is told as PORT.
inline constexpr std::uint16_t port_inside{3000};

// What the program takes itself to be called, as the authority of a URL: its redirects may lead there.
inline constexpr std::array<std::string_view, 2> hosts_inside{"localhost:3000", "127.0.0.1:3000"};

}  // namespace sandboxd::faas
