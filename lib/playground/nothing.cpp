// In place of what web/build.mjs writes, in a program without the page.
#include "playground/assets.hpp"

namespace sandboxd::playground {

std::span<const asset> assets() noexcept { return {}; }

}  // namespace sandboxd::playground
