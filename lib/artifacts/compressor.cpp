#include "artifacts/compressor.hpp"

#define ZLIB_CONST
#include <brotli/encode.h>
#include <zlib.h>

#include <algorithm>
#include <limits>

namespace sandboxd::artifacts {

namespace {

constexpr int gzip_level = 6;
constexpr std::uint32_t brotli_quality = 5;

class gzip_compressor : public compressor {
public:
    ~gzip_compressor() override
    {
        if (ready_) ::deflateEnd(&stream_);
    }

    bool init()
    {
        constexpr int window_bits = 15;
        constexpr int as_gzip = 16;
        constexpr int memory_level = 9;
        ready_ = deflateInit2(&stream_, gzip_level, Z_DEFLATED, window_bits + as_gzip, memory_level,
                              Z_DEFAULT_STRATEGY) == Z_OK;
        return ready_;
    }

    bool feed(std::string_view piece, bool last, std::string& out) override
    {
        stream_.next_in = reinterpret_cast<const Bytef*>(piece.data());
        stream_.avail_in = static_cast<uInt>(piece.size());
        Bytef space[16 * 1024];
        do {
            stream_.next_out = space;
            stream_.avail_out = sizeof space;
            const int status = ::deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH);
            if (status == Z_STREAM_ERROR) return false;
            out.append(reinterpret_cast<const char*>(space), sizeof space - stream_.avail_out);
        } while (stream_.avail_out == 0);
        return true;
    }

private:
    z_stream stream_{};
    bool ready_{false};
};

class brotli_compressor : public compressor {
public:
    ~brotli_compressor() override
    {
        if (state_) ::BrotliEncoderDestroyInstance(state_);
    }

    bool init(std::uint64_t total)
    {
        state_ = ::BrotliEncoderCreateInstance(nullptr, nullptr, nullptr);
        if (!state_) return false;
        // A larger window gains little for larger inputs and costs memory.
        std::uint32_t window = 16;
        while (window < 20 && (std::uint64_t{1} << window) < total) ++window;
        ::BrotliEncoderSetParameter(state_, BROTLI_PARAM_QUALITY, brotli_quality);
        ::BrotliEncoderSetParameter(state_, BROTLI_PARAM_LGWIN, window);
        // The encoder works whenever a block is full: small blocks, short turns.
        ::BrotliEncoderSetParameter(state_, BROTLI_PARAM_LGBLOCK, 16);
        const auto hint = std::min<std::uint64_t>(total, std::numeric_limits<std::uint32_t>::max() / 2);
        ::BrotliEncoderSetParameter(state_, BROTLI_PARAM_SIZE_HINT, static_cast<std::uint32_t>(hint));
        return true;
    }

    bool feed(std::string_view piece, bool last, std::string& out) override
    {
        const auto operation = last ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_PROCESS;
        auto* input = reinterpret_cast<const std::uint8_t*>(piece.data());
        std::size_t left = piece.size();
        do {
            std::size_t no_space = 0;
            if (!::BrotliEncoderCompressStream(state_, operation, &left, &input, &no_space, nullptr, nullptr))
                return false;
            while (::BrotliEncoderHasMoreOutput(state_)) {
                std::size_t size = 0;
                const auto* bytes = ::BrotliEncoderTakeOutput(state_, &size);
                out.append(reinterpret_cast<const char*>(bytes), size);
            }
        } while (left > 0 || (last && !::BrotliEncoderIsFinished(state_)));
        return true;
    }

private:
    BrotliEncoderState* state_{nullptr};
};

}  // namespace

std::unique_ptr<compressor> make_compressor(encoding coding, std::uint64_t total)
{
    if (coding == encoding::gzip) {
        auto made = std::make_unique<gzip_compressor>();
        if (made->init()) return made;
    } else if (coding == encoding::brotli) {
        auto made = std::make_unique<brotli_compressor>();
        if (made->init(total)) return made;
    }
    return nullptr;
}

}  // namespace sandboxd::artifacts
