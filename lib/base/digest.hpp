// SHA-256 (FIPS 180-4) and what we make of it: content keys and entity tags.
#pragma once

#include <nettle/sha2.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace sandboxd {

using sha256_digest = std::array<std::uint8_t, 32>;

class sha256 {
public:
    sha256() noexcept;
    void update(std::string_view bytes) noexcept;
    // Feeds a length-prefixed field, so that two different sequences of fields never collide.
    void field(std::string_view bytes) noexcept;
    sha256_digest finish() noexcept;

private:
    sha256_ctx context_;
};

sha256_digest sha256_of(std::string_view bytes) noexcept;

// Lower-case hexadecimal, two digits a byte.
std::string to_hex(const std::uint8_t* bytes, std::size_t count);
inline std::string to_hex(const sha256_digest& digest) { return to_hex(digest.data(), digest.size()); }

// `bytes` random bytes from getrandom(2), in hexadecimal.
std::string random_hex(std::size_t bytes);

}  // namespace sandboxd
