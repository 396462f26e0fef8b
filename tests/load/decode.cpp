#include "load/decode.hpp"

#include <brotli/decode.h>
#include <zlib.h>

#include <cstdint>

namespace sandboxd::test {

namespace {

bool inflate_into(std::string& into, std::string_view bytes)
{
    z_stream stream{};
    constexpr int gzip_only = 16 + MAX_WBITS;
    if (::inflateInit2(&stream, gzip_only) != Z_OK) return false;
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef*>(into.data());
    stream.avail_out = static_cast<uInt>(into.size());
    const int ended = ::inflate(&stream, Z_FINISH);
    const bool whole = ended == Z_STREAM_END && stream.avail_out == 0 && stream.avail_in == 0;
    ::inflateEnd(&stream);
    return whole;
}

}  // namespace

std::optional<std::string> decode(std::string_view coding, std::string_view bytes, std::size_t size)
{
    std::string into(size, '\0');
    if (coding == "gzip") {
        if (inflate_into(into, bytes)) return into;
        return std::nullopt;
    }
    auto room = size;
    const auto ended = ::BrotliDecoderDecompress(bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                                 &room, reinterpret_cast<std::uint8_t*>(into.data()));
    if (ended != BROTLI_DECODER_RESULT_SUCCESS || room != size) return std::nullopt;
    return into;
}

}  // namespace sandboxd::test
