#include "toolchain/embedded.hpp"

#include <cstddef>

extern "C" {
extern const char sandboxd_host_library[];
extern const char sandboxd_host_library_end[];
extern const char sandboxd_python_host[];
extern const char sandboxd_python_host_end[];
}

namespace sandboxd::toolchain {

std::string_view host_library() noexcept
{
    return {sandboxd_host_library, static_cast<std::size_t>(sandboxd_host_library_end - sandboxd_host_library)};
}

std::string_view python_host() noexcept
{
    return {sandboxd_python_host, static_cast<std::size_t>(sandboxd_python_host_end - sandboxd_python_host)};
}

}  // namespace sandboxd::toolchain
