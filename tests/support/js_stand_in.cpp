// A stand-in for a JavaScript worker: speaks its protocol, and ends every script, which is the number
// of a run_status, with that status.
#include "js/wire.hpp"

#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>

using namespace sandboxd::js;

namespace {

bool read_all(int from, std::string& into)
{
    for (std::size_t done = 0; done < into.size();) {
        const auto got = ::read(from, into.data() + done, into.size() - done);
        if (got <= 0) return false;
        done += static_cast<std::size_t>(got);
    }
    return true;
}

bool write_all(int to, std::string_view bytes)
{
    return ::write(to, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
}

}  // namespace

// js_stand_in --worker-fd N
int main(int count, char** words)
{
    if (count != 3) return EXIT_FAILURE;
    const int socket = std::atoi(words[2]);
    std::string header(frame_header_bytes, '\0');
    if (!write_all(socket, header)) return EXIT_FAILURE;
    while (read_all(socket, header)) {
        std::string body(frame_size(header), '\0');
        if (!read_all(socket, body)) return EXIT_FAILURE;
        const auto request = decode_request(body);
        if (!request) return EXIT_FAILURE;
        run_answer answer;
        answer.status = static_cast<run_status>(std::atoi(request->script.c_str()));
        if (!write_all(socket, encode_frame(answer))) return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
