// The manual of emcc-sandboxd, which sandboxd succeeds.
#pragma once

#include <string_view>

namespace sandboxd::test {

// The example of a configuration, to the letter.
inline constexpr std::string_view legacy_manual_configuration = R"({
  "workingDir": "/srv/emcc-sandboxd",
  "addr": ":8080",
  "baseDir": ".",
  "jobsDir": "jobs",
  "artifactsDir": "artifacts",
  "enableStaticArtifacts": true,
  "artifactTTLDays": 3,
  "cleanupIntervalMins": 30,
  "defaultArgs": [
    "-sINVOKE_RUN=0",
    "-sENVIRONMENT=web",
    "-sALLOW_MEMORY_GROWTH=1",
    "-sMODULARIZE=1"
  ],
  "nsjailEnabled": false,
  "nsjailPath": "nsjail",
  "cgroupV2Root": "cgroup",
  "enableResourceGating": false,
  "jobMemoryEstimateMB": 256
}
)";

}  // namespace sandboxd::test
