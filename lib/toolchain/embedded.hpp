// What a started tool is started with; it goes into the server's own program (embedded.S.in), so that there is nothing
// to install beside it.
#pragma once

#include <string_view>

namespace sandboxd::toolchain {

// The shared object of app/tool_host.cpp.
std::string_view host_library() noexcept;

// app/tool_python.py.
std::string_view python_host() noexcept;

}  // namespace sandboxd::toolchain
