// Times in answers, in the format of RFC 3339: 2026-04-24T09:50:41.362Z.
#pragma once

#include <chrono>
#include <string>

namespace sandboxd::api {

std::string timestamp(std::chrono::system_clock::time_point when);

}  // namespace sandboxd::api
