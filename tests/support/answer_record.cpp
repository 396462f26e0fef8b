#include "support/answer_record.hpp"

#include "support/http_client.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

namespace sandboxd::test {

namespace {

const char* directory()
{
    static const char* const named = std::getenv("SANDBOXD_TEST_ANSWERS");
    return named;
}

// One file for each process, one write for each line: lines of several threads do not mix.
void append(const std::string& line)
{
    static const int file = [] {
        const auto path = std::string{directory()} + "/" + std::to_string(::getpid()) + ".jsonl";
        return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    }();
    if (file < 0 || ::write(file, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::abort();
}

// The command line: with ctest it names the test case.
const std::string& this_test()
{
    static const std::string told = [] {
        std::ifstream in{"/proc/self/cmdline"};
        std::string text{std::istreambuf_iterator<char>{in}, {}};
        std::ranges::replace(text, '\0', ' ');
        return text;
    }();
    return told;
}

bool is_method(std::string_view word)
{
    return !word.empty() && std::ranges::all_of(word, [](char c) { return c >= 'A' && c <= 'Z'; });
}

std::string host_in(std::string_view head)
{
    constexpr std::string_view name = "\r\nHost: ";
    const auto at = head.find(name);
    if (at == std::string_view::npos) return {};
    const auto value = head.substr(at + name.size());
    return std::string{value.substr(0, value.find("\r\n"))};
}

}  // namespace

void answer_record::sent(std::string_view bytes)
{
    if (!directory()) return;
    const auto line = bytes.substr(0, bytes.find("\r\n"));
    const auto first = line.find(' ');
    const auto last = line.rfind(' ');
    if (first == std::string_view::npos || last <= first || !line.substr(last).starts_with(" HTTP/1.")) return;
    if (!is_method(line.substr(0, first))) return;
    waiting_.push_back({std::string{line.substr(0, first)}, std::string{line.substr(first + 1, last - first - 1)},
                        host_in(bytes.substr(0, bytes.find("\r\n\r\n")))});
}

void answer_record::got(const http_answer& answer)
{
    if (!directory() || waiting_.empty()) return;
    const auto asked = std::move(waiting_.front());
    waiting_.pop_front();
    // A program's own answer, or that of another server.
    if (answer.field("x-request-id").empty()) return;
    constexpr std::size_t most_bytes = 1 << 20;
    const auto type = answer.field("content-type");
    const bool is_kept = answer.body.size() <= most_bytes &&
                         (type.find("json") != std::string::npos || type.find("event-stream") != std::string::npos);
    boost::json::object told{{"test", this_test()},        {"method", asked.method},  {"target", asked.target},
                             {"host", asked.host},         {"status", answer.status}, {"type", type},
                             {"bytes", answer.body.size()}};
    if (is_kept) told["body"] = answer.body;
    append(boost::json::serialize(told) + '\n');
}

}  // namespace sandboxd::test
