// A stand-in for a JavaScript worker: speaks its protocol, and ends every script, which is the number
// of a run_status, with that status. A word before the number makes it one that has been taken over.
#include "script/frame.hpp"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

using namespace sandboxd::script;

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
    while (!bytes.empty()) {
        const auto count = ::write(to, bytes.data(), bytes.size());
        if (count <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

// Waits until the other side has read all that was written.
void wait_until_read(int socket)
{
    for (int left = 1; left > 0;)
        if (::ioctl(socket, SIOCOUTQ, &left) != 0) return;
}

bool answer_to(int socket, const numbered<run_request>& request)
{
    const std::string& script = request.message.script;
    const auto space = script.find(' ');
    const std::string word = space == std::string::npos ? std::string{} : script.substr(0, space);
    run_answer answer;
    answer.status = static_cast<run_status>(std::atoi(script.c_str() + (word.empty() ? 0 : space)));
    std::uint64_t number = request.number;
    if (word == "other") ++number;
    if (word == "much") answer.result = '"' + std::string(9 << 20, 'x') + '"';
    if (word == "talk") answer.console.resize(40'000, {console_level::log, 0, "[]"});
    if (word == "image") answer.image = "unasked";
    if (word == "garbage") answer.result = "1,2";
    if (word == "announce") {
        const std::uint32_t size = max_frame_bytes;
        return write_all(socket, {reinterpret_cast<const char*>(&size), sizeof size});
    }
    const auto frame = encode_frame(answer, number);
    if (!write_all(socket, frame)) return false;
    if (word != "twice") return true;
    wait_until_read(socket);
    return write_all(socket, frame);
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
        if (!answer_to(socket, *request)) return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
