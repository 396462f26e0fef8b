// A stand-in for emcc, since the real one is too big for an initramfs. It does what the first line of its
// source says, one word after the other, and then "compiles":
//
//     //! touch 20 spin 300 daemons 3 wait
//
// Statically linked: it runs in a jail that holds nothing else.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

namespace {

[[noreturn]] void wait_forever()
{
    for (;;) ::pause();
}

// Memory that is really there, and stays.
void touch(std::size_t mebibytes)
{
    const auto bytes = mebibytes << 20;
    auto* const block = new char[bytes];
    std::memset(block, 'm', bytes);
    asm volatile("" : : "r"(block) : "memory");
}

// Takes back that it is the first to be killed when memory runs out.
void cling() { std::ofstream{"/proc/self/oom_score_adj"} << 0; }

// So many processes with so much memory each, all at the same time.
void crowd(int processes, std::size_t mebibytes)
{
    while (processes-- > 0) {
        if (::fork() != 0) continue;
        touch(mebibytes);
        wait_forever();
    }
    wait_forever();
}

// As many processes as there may be.
void forks()
{
    int count = 1;
    for (;; ++count) {
        const pid_t child = ::fork();
        if (child == 0) wait_forever();
        if (child < 0) break;
    }
    std::printf("processes %d %s\n", count, ::strerrorname_np(errno));
    std::fflush(stdout);
}

// Processor time.
void spin(int milliseconds)
{
    const auto until = std::clock() + std::clock_t{milliseconds} * (CLOCKS_PER_SEC / 1000);
    while (std::clock() < until) {
    }
}

// Survivors: sessions of their own, nobody's children, deaf to what can be ignored, silent.
void daemons(int how_many)
{
    while (how_many-- > 0) {
        if (const pid_t child = ::fork(); child != 0) {
            ::waitpid(child, nullptr, 0);
            continue;
        }
        ::setsid();
        if (::fork() != 0) ::_exit(0);
        for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_IGN);
        for (int fd = 0; fd < 64; ++fd) ::close(fd);
        wait_forever();
    }
}

void obey(std::istream& words)
{
    int number = 0;
    std::size_t mebibytes = 0;
    for (std::string word; words >> word;) {
        if (word == "touch" && words >> mebibytes) touch(mebibytes);
        if (word == "cling") cling();
        if (word == "crowd" && words >> number >> mebibytes) crowd(number, mebibytes);
        if (word == "forks") forks();
        if (word == "spin" && words >> number) spin(number);
        if (word == "daemons" && words >> number) daemons(number);
        if (word == "wait") wait_forever();
    }
}

}  // namespace

int main(int argc, char** argv)
{
    std::string unit;
    std::string script;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        if (argument == "--version") {
            std::puts("emcc (a stand-in that compiles nothing) 3.1.6");
            return 0;
        }
        if (argument == "-o")
            script = argv[++i];
        else if (!argument.starts_with('-'))
            unit = argument;
    }
    std::string line;
    std::ifstream source{unit};
    std::getline(source, line);
    if (line.starts_with("//! ")) {
        std::istringstream words{line.substr(4)};
        obey(words);
    }
    std::ofstream{script} << "// nothing\n";
    std::ofstream{script.substr(0, script.rfind('.')) + ".wasm"} << std::string_view{"\0asm\1\0\0\0", 8};
    return 0;
}
