#include "base/digest.hpp"

#include <sys/random.h>

#include <cerrno>
#include <system_error>
#include <vector>

namespace sandboxd {

namespace {

const std::uint8_t* octets(std::string_view bytes) noexcept
{
    return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

}  // namespace

sha256::sha256() noexcept { sha256_init(&context_); }

void sha256::update(std::string_view bytes) noexcept { sha256_update(&context_, bytes.size(), octets(bytes)); }

void sha256::field(std::string_view bytes) noexcept
{
    std::uint64_t size = bytes.size();
    std::array<std::uint8_t, 8> prefix{};
    for (auto& octet : prefix) {
        octet = static_cast<std::uint8_t>(size & 0xff);
        size >>= 8;
    }
    sha256_update(&context_, prefix.size(), prefix.data());
    update(bytes);
}

sha256_digest sha256::finish() noexcept
{
    sha256_digest digest{};
    ::sha256_digest(&context_, digest.size(), digest.data());
    return digest;
}

sha256_digest sha256_of(std::string_view bytes) noexcept
{
    sha256 hash;
    hash.update(bytes);
    return hash.finish();
}

std::string to_hex(const std::uint8_t* bytes, std::size_t count)
{
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    text.reserve(count * 2);
    for (std::size_t i = 0; i < count; ++i) {
        text.push_back(digits[bytes[i] >> 4]);
        text.push_back(digits[bytes[i] & 0xf]);
    }
    return text;
}

std::string random_hex(std::size_t bytes)
{
    std::vector<std::uint8_t> buffer(bytes);
    std::size_t filled = 0;
    while (filled < bytes) {
        const auto got = ::getrandom(buffer.data() + filled, bytes - filled, 0);
        if (got < 0) {
            if (errno == EINTR) continue;
            throw std::system_error(errno, std::generic_category(), "getrandom");
        }
        filled += static_cast<std::size_t>(got);
    }
    return to_hex(buffer.data(), bytes);
}

}  // namespace sandboxd
