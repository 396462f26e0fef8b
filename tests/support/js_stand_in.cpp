// A stand-in for a JavaScript worker: speaks its protocol, and ends every script, which is the number
// of a run_status, with that status. A word before the number makes it one that has been taken over, or has it stop
// itself (SIGSTOP) before it answers ("stop").
#include "script/frame_socket.hpp"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

using namespace sandboxd::script;

namespace {

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
    if (word == "stop") ::raise(SIGSTOP);
    if (word == "announce") {
        const std::uint32_t size = max_frame_bytes;
        return send_frame(socket, {reinterpret_cast<const char*>(&size), sizeof size});
    }
    const auto frame = encode_frame(answer, number);
    if (!send_frame(socket, frame)) return false;
    if (word != "twice") return true;
    wait_until_read(socket);
    return send_frame(socket, frame);
}

}  // namespace

// js_stand_in --worker-fd N
int main(int count, char** words)
{
    if (count != 3) return EXIT_FAILURE;
    const int socket = std::atoi(words[2]);
    if (!send_frame(socket, std::string(frame_header_bytes, '\0'))) return EXIT_FAILURE;
    std::string buffer;
    while (const auto body = receive_frame(socket, buffer)) {
        const auto request = decode_request(*body);
        if (!request) return EXIT_FAILURE;
        if (!answer_to(socket, *request)) return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
