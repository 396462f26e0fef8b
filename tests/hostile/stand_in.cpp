// A stand-in for a compromised compiler: it is put in emcc's place and does, from inside the jail, what the
// first line of the source asks for:
//
//     //! <attack> <argument>…
//
// Without such a line it is an honest compiler that leaves a small app.js and app.wasm. What it was not
// meant to be able to do and did, it prints as "ALLOWED <what>"; whatever it could read, it prints and
// leaves as an artifact. Statically linked, so that it runs in a jail with no other mount.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

using words = std::vector<std::string>;

std::string out_directory = "../out";

std::string in_out(const std::string& name) { return out_directory + "/" + name; }

std::string slurp(const std::string& path, std::size_t at_most = 1 << 20)
{
    std::string text;
    // Not blocking, so that a FIFO or a terminal cannot hold us.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return text;
    char block[4096];
    for (ssize_t got = 0; text.size() < at_most && (got = ::read(fd, block, sizeof block)) > 0;)
        text.append(block, static_cast<std::size_t>(got));
    ::close(fd);
    return text;
}

void write_file(const std::string& path, std::string_view text)
{
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    while (fd >= 0 && !text.empty()) {
        const auto done = ::write(fd, text.data(), text.size());
        if (done <= 0) break;
        text.remove_prefix(static_cast<std::size_t>(done));
    }
    if (fd >= 0) ::close(fd);
}

void say(const std::string& text)
{
    std::fwrite(text.data(), 1, text.size(), stdout);  // NULs included
    std::putchar('\n');
    std::fflush(stdout);
}

void allowed(const std::string& what) { say("ALLOWED " + what); }

[[noreturn]] void wait_forever()
{
    for (;;) ::pause();
}

int honest()
{
    write_file(in_out("app.js"), "// honest\n");
    write_file(in_out("app.wasm"), std::string_view{"\0asm\1\0\0\0", 8});
    return 0;
}

int number(const words& given, std::size_t i, int otherwise = 0)
{
    return i < given.size() ? std::atoi(given[i].c_str()) : otherwise;
}

// Leaves something else than a plain file: leave KIND NAME [TARGET].
int leave(const words& given)
{
    const auto& kind = given.at(0);
    const auto path = in_out(given.at(1));
    honest();
    ::unlink(path.c_str());
    int made = 0;
    if (kind == "symlink") made = ::symlink(given.at(2).c_str(), path.c_str());
    if (kind == "fifo") made = ::mkfifo(path.c_str(), 0666);
    if (kind == "directory") made = ::mkdir(path.c_str(), 0777);
    if (kind == "device") made = ::mknod(path.c_str(), S_IFCHR | 0666, makedev(1, 5));
    if (kind == "hardlink") {
        write_file(in_out("other"), "the same file");
        made = ::link(in_out("other").c_str(), path.c_str());
    }
    if (kind == "foreign-hardlink") made = ::link(given.at(2).c_str(), path.c_str());
    if (kind == "socket") {
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        path.copy(name.sun_path, sizeof name.sun_path - 1);
        made = ::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name);
    }
    if (kind == "sparse") {
        const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT, 0644);
        ::signal(SIGXFSZ, SIG_IGN);
        made = ::ftruncate(fd, std::atoll(given.at(2).c_str()));
    }
    if (kind == "unreadable") {
        write_file(path, "nobody may read this");
        made = ::chmod(path.c_str(), 0);
    }
    if (kind == "setuid") {
        write_file(path, "#!/bin/sh\n");
        made = ::chmod(path.c_str(), 06777);
    }
    if (kind == "empty") write_file(path, "");
    // A thousand lives a second as file and as link; whichever it is when the job ends.
    if (kind == "swapped") {
        if (::fork() == 0) {
            for (;;) {
                ::unlink(path.c_str());
                if (::symlink(given.at(2).c_str(), path.c_str()) != 0) break;
                ::unlink(path.c_str());
                write_file(path, "a file, now");
            }
            ::_exit(0);
        }
        ::usleep(20'000);
    }
    say(std::string{"left "} + (made == 0 ? "it" : ::strerrorname_np(errno)));
    return 0;
}

int many(const words& given)
{
    honest();
    int count = 0;
    for (; count < number(given, 0); ++count) {
        const int fd = ::open(in_out("f" + std::to_string(count)).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0) break;
        ::close(fd);
    }
    say("files " + std::to_string(count));
    return 0;
}

int deep(const words& given)
{
    honest();
    int depth = 0;
    if (::chdir(out_directory.c_str()) != 0) return 1;
    const std::string name(200, 'd');
    for (; depth < number(given, 0); ++depth) {
        if (::mkdir(name.c_str(), 0700) != 0 || ::chdir(name.c_str()) != 0) break;
    }
    say("depth " + std::to_string(depth));
    return 0;
}

// Directories nobody may enter, and names that break those who print, match or split them.
int awkward()
{
    honest();
    for (const char* name : {"locked", "-rf", "a b", "new\nline", "\xff\xfe", "*", "...", "app.js\\", "$(id)"})
        ::mkdir(in_out(name).c_str(), 0700);
    write_file(in_out("locked/file"), "x");
    write_file(in_out(std::string(255, 'n')), "x");
    ::chmod(in_out("locked").c_str(), 0);
    ::chmod(out_directory.c_str(), 0);
    return 0;
}

// Writes until that fails or MIB are written: fill DIRECTORY MIB [hidden|kept|mapped], hidden in deleted files,
// which are then kept open, or mapped and closed, for as long as it lives.
int fill(const words& given)
{
    honest();
    ::signal(SIGXFSZ, SIG_IGN);
    static char block[1 << 16];
    std::memset(block, 'x', sizeof block);
    const auto wanted = static_cast<std::int64_t>(number(given, 1)) << 20;
    std::int64_t bytes = 0;
    for (int file = 0; bytes < wanted && file < 200; ++file) {
        const auto path = given.at(0) + "/fill" + std::to_string(file);
        const int fd = ::open(path.c_str(), O_RDWR | O_CREAT, 0644);
        if (fd < 0) break;
        if (given.size() > 2) ::unlink(path.c_str());
        std::int64_t here = 0;
        for (ssize_t got = 0; here < (8 << 20) && (got = ::write(fd, block, sizeof block)) > 0;) here += got;
        if (here == 0) break;
        bytes += here;
        if (given.size() > 2 && given.at(2) == "mapped") {
            ::mmap(nullptr, static_cast<std::size_t>(here), PROT_READ, MAP_PRIVATE, fd, 0);
            ::close(fd);
        }
    }
    say("bytes " + std::to_string(bytes) + " " + ::strerrorname_np(errno));
    if (given.size() > 2 && given.at(2) != "hidden") wait_forever();
    return 0;
}

int bomb()
{
    honest();
    for (int generation = 0; generation < 12; ++generation) {
        if (::fork() == 0) continue;
    }
    // Survivors of survivors: nobody waits for anybody.
    if (::getppid() == 1 || ::fork() == 0) wait_forever();
    return 0;
}

// Processes that stay: survive WAY. The first one leaves honest artifacts and ends.
int survive(const words& given)
{
    honest();
    const auto& way = given.at(0);
    if (::fork() != 0) {
        ::usleep(50'000);
        return 0;
    }
    if (way == "setsid" || way == "daemon" || way == "holding") ::setsid();
    if (way == "daemon" || way == "holding") {
        if (::fork() != 0) ::_exit(0);
        ::prctl(PR_SET_PDEATHSIG, 0);
    }
    if (way == "daemon") {
        for (int fd = 0; fd < 64; ++fd) ::close(fd);
    }
    if (way == "ignoring") {
        for (int n = 1; n < 65; ++n) ::signal(n, SIG_IGN);
    }
    if (way == "stopped") ::raise(SIGSTOP);
    if (way == "group") ::setpgid(0, 0);
    wait_forever();
}

// Does not end: stay WAY.
int stay(const words& given)
{
    honest();
    const auto& way = given.at(0);
    say("staying");
    if (way == "stopped") ::raise(SIGSTOP);
    if (way == "ignoring") {
        for (int n = 1; n < 65; ++n) ::signal(n, SIG_IGN);
    }
    if (way == "closed") {
        for (int fd = 0; fd < 64; ++fd) ::close(fd);
    }
    if (way == "bomb") {
        for (int generation = 0; generation < 6; ++generation) ::fork();
    }
    if (way == "spinning") {
        for (volatile unsigned turn = 0;; turn = turn + 1) {
        }
    }
    wait_forever();
}

// flood WHAT [MIB]
int flood(const words& given)
{
    honest();
    const auto& what = given.at(0);
    std::string block;
    while (block.size() < 60'000) {
        if (what == "lines") block += "a line and no end of lines\n";
        if (what == "one-line") block += "no end of line ";
        if (what == "nul") block += '\0';
        if (what == "bytes") block += static_cast<char>(block.size() * 7919 >> 3);
        if (what == "escapes") block += "\x1b[2J\x1b]0;title\a\x1b[31m\r\b";
        if (what == "broken-utf8") block += "\xf0\x9f\x98\xc3\x28\xed\xa0\x80\xf8\x88\x80\x80\x80";
        if (what == "diagnostics") block += "main.c:1:1: error: a made-up one [-Wflood]\n";
        if (what == "json") block += "\"},{\"ok\":true,\"js\":\"\\u0000\\";
    }
    const auto times = given.size() > 1 ? static_cast<std::size_t>(number(given, 1)) * 17 : SIZE_MAX;
    for (std::size_t i = 0; i < times; ++i) {
        if (::write(1 + (i & 1), block.data(), block.size()) < 0) return 1;
    }
    return 1;
}

// Everything that can be read in here, as text and as artifacts.
int read_all(const words& given)
{
    std::string all;
    const auto take = [&all](const std::string& path) {
        const auto text = slurp(path, 1 << 16);
        if (text.empty()) return;
        all += "== " + path + "\n" + text + "\n";
    };
    const auto list = [&](const std::string& path) {
        words names;
        const std::unique_ptr<DIR, int (*)(DIR*)> directory{::opendir(path.c_str()), ::closedir};
        if (!directory) return names;
        while (const dirent* item = ::readdir(directory.get())) {
            const std::string name = item->d_name;
            if (name != "." && name != "..") names.push_back(name);
        }
        return names;
    };
    for (const auto& path : given) take(path);
    for (const char* path : {"/etc/passwd",
                             "/etc/shadow",
                             "/etc/hostname",
                             "/etc/machine-id",
                             "/root/.bashrc",
                             "/root/.ssh/id_rsa",
                             "/proc/1/environ",
                             "/proc/1/cmdline",
                             "/proc/self/environ",
                             "/proc/self/cmdline",
                             "/proc/mounts",
                             "/proc/self/mountinfo",
                             "/proc/self/cgroup",
                             "/proc/net/tcp",
                             "/proc/net/unix",
                             "/proc/keys",
                             "/proc/kcore",
                             "/proc/kmsg",
                             "/proc/sys/kernel/random/boot_id",
                             "/dev/stdin",
                             "/dev/mem",
                             "/dev/kmsg",
                             "/sys/class/dmi/id/product_uuid"})
        take(path);
    // By way of other processes, of descriptors that somebody forgot, and upwards out of the working directory.
    for (const auto& pid : list("/proc")) {
        for (const char* inside : {"/environ", "/root/etc/passwd", "/root/etc/shadow", "/cwd/../../../../etc/passwd"})
            take("/proc/" + pid + inside);
        for (const auto& fd : list("/proc/" + pid + "/fd")) {
            const auto path = "/proc/" + pid + "/fd/" + fd;
            if (std::atoi(fd.c_str()) > 2 && pid == "self" && list(path).empty()) take(path);
            for (const char* up : {"/../etc/passwd", "/../../../../../etc/passwd"}) take(path + up);
        }
    }
    std::string up;
    for (int depth = 0; depth < 12; ++depth, up += "../") {
        take(up + "etc/passwd");
        take(up + "etc/shadow");
        for (const auto& path : given) take(up + path);
    }
    // And whatever else there is.
    words waiting{"/"};
    int visited = 0;
    while (!waiting.empty() && ++visited < 2000) {
        const auto directory = waiting.back();
        waiting.pop_back();
        for (const auto& name : list(directory)) {
            const auto path = (directory == "/" ? "" : directory) + "/" + name;
            struct stat info{};
            if (path == "/proc" || path == "/dev" || ::lstat(path.c_str(), &info) != 0) continue;
            if (S_ISDIR(info.st_mode)) waiting.push_back(path);
            if (S_ISREG(info.st_mode) && info.st_size < (1 << 16)) take(path);
        }
    }
    honest();
    write_file(in_out("app.wasm"), all);
    // Only as much as the log keeps.
    say(all.substr(0, 200'000));
    return 0;
}

// connect PORT: the server's own, and whatever else might listen.
int reach_out(const words& given)
{
    struct target {
        const char* address;
        int port;
    };
    const target targets[] = {{"127.0.0.1", number(given, 0)},
                              {"0.0.0.0", number(given, 0)},
                              {"127.0.0.1", 22},
                              {"169.254.169.254", 80},
                              {"10.0.0.1", 53},
                              {"192.0.2.1", 80},
                              {"8.8.8.8", 53}};
    for (const auto& one : targets) {
        for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
            const int fd = ::socket(AF_INET, type | SOCK_NONBLOCK, 0);
            if (fd < 0) continue;
            sockaddr_in to{};
            to.sin_family = AF_INET;
            to.sin_port = htons(static_cast<std::uint16_t>(one.port));
            ::inet_pton(AF_INET, one.address, &to.sin_addr);
            const int connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
            if (connected == 0 || errno == EINPROGRESS) allowed("connect " + std::string{one.address});
            ::close(fd);
        }
    }
    for (const int family : {AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH})
        if (::socket(family, SOCK_DGRAM, 0) >= 0) allowed("socket of family " + std::to_string(family));
    for (const char* path : {"/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket",
                             "/run/systemd/private", "/tmp/.X11-unix/X0"}) {
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un to{};
        to.sun_family = AF_UNIX;
        std::strncpy(to.sun_path, path, sizeof to.sun_path - 1);
        if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) allowed(path);
        ::close(fd);
    }
    // The abstract names of the host, which belong to its network namespace: the test listens on this one.
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    const auto& name = given.at(1);
    name.copy(to.sun_path + 1, sizeof to.sun_path - 2);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), size) == 0) allowed("an abstract socket");
    return honest();
}

// write NAME [FILE…]: new files everywhere, changes to what is there and to these files of the host.
int write_all(const words& given)
{
    const auto& name = given.at(0);
    for (const char* place : {"/", "/etc/", "/usr/", "/usr/bin/", "/usr/share/emscripten/", "/root/", "/home/", "/run/",
                              "/var/tmp/", "/job/", "/job/src/", "/dev/", "/proc/", "/sys/",
                              SANDBOXD_STAND_IN_DIRECTORY "/", "../", "../src/", "../../", "../../../"}) {
        const auto path = place + name;
        if (::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666) >= 0) allowed("create " + path);
        if (::mkdir(path.c_str(), 0777) == 0) allowed("mkdir " + path);
        if (::symlink("/etc/passwd", path.c_str()) == 0) allowed("symlink " + path);
        if (::rename(in_out("app.js").c_str(), path.c_str()) == 0) allowed("rename " + path);
    }
    // Private to the job, and gone with it; of the same name as what the test looks for on the host.
    write_file("/tmp/" + name, "x");
    write_file("/dev/shm/" + name, "x");
    // Not the memory of PID 1: that is the jail's own first process, behind the same walls as we are.
    words files{SANDBOXD_STAND_IN,    "main.c",
                "/proc/self/exe",     "/usr/share/emscripten/emcc.py",
                "/etc/passwd",        "/proc/sys/kernel/core_pattern",
                "/proc/sysrq-trigger"};
    files.insert(files.end(), given.begin() + 1, given.end());
    for (const auto& file : files) {
        if (::open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC) >= 0) allowed("open for writing " + file);
        if (::truncate(file.c_str(), 0) == 0) allowed("truncate " + file);
        if (::chmod(file.c_str(), 0777) == 0) allowed("chmod " + file);
        if (::unlink(file.c_str()) == 0) allowed("unlink " + file);
    }
    for (const char* directory : {SANDBOXD_STAND_IN_DIRECTORY, ".", "/", "/usr", "/proc"})
        if (::chmod(directory, 0777) == 0 && std::string_view{directory} != "../out")
            allowed(std::string{"chmod "} + directory);
    return honest();
}

int forgotten_descriptors()
{
    for (int fd = 3; fd < 4096; ++fd) {
        if (::fcntl(fd, F_GETFD) != -1) allowed("descriptor " + std::to_string(fd));
    }
    return honest();
}

int descriptors()
{
    int count = 0;
    while (::open("/dev/null", O_RDONLY) >= 0 && count < 1'000'000) ++count;
    say("descriptors " + std::to_string(count));
    for (int fd = 3; fd < 16; ++fd) ::close(fd);
    honest();
    return 0;
}

int memory()
{
    std::vector<std::string> kept;
    for (;;) kept.emplace_back(std::size_t{8} << 20, 'm');  // ends with std::bad_alloc
}

int run(const std::string& attack, const words& given)
{
    if (attack == "leave") return leave(given);
    if (attack == "many") return many(given);
    if (attack == "deep") return deep(given);
    if (attack == "awkward") return awkward();
    if (attack == "fill") return fill(given);
    if (attack == "bomb") return bomb();
    if (attack == "survive") return survive(given);
    if (attack == "stay") return stay(given);
    if (attack == "flood") return flood(given);
    if (attack == "read") return read_all(given);
    if (attack == "connect") return reach_out(given);
    if (attack == "write") return write_all(given);
    if (attack == "forgotten") return forgotten_descriptors();
    if (attack == "descriptors") return descriptors();
    if (attack == "memory") return memory();
    if (attack == "kill-all") {
        honest();
        if (::fork() == 0) {
            ::kill(-1, SIGKILL);
            ::kill(1, SIGKILL);
            ::kill(::getppid(), SIGKILL);
            wait_forever();
        }
        wait_forever();
    }
    if (attack == "nothing") return 0;
    if (attack == "exit") return honest(), number(given, 0);
    if (attack == "signal") {
        honest();
        ::signal(number(given, 0), SIG_DFL);
        ::raise(number(given, 0));
        wait_forever();
    }
    if (attack == "large") {
        honest();
        write_file(in_out("app.data"), std::string(static_cast<std::size_t>(number(given, 0)) << 20, 'd'));
        return 0;
    }
    say("no such attack: " + attack);
    return 1;
}

}  // namespace

int main(int argc, char** argv)
{
    words args(argv + 1, argv + argc);
    if (!args.empty() && args[0] == "--version") {
        say("emcc (a stand-in for a compromised compiler) 3.1.6");
        return 0;
    }
    std::string unit;
    for (std::size_t i = 0; i < args.size(); ++i) {
        if (args[i] == "-o" && i + 1 < args.size())
            out_directory = args[i + 1].substr(0, args[i + 1].rfind('/'));
        else if (!args[i].starts_with('-') && unit.empty())
            unit = args[i];
    }
    const auto source = slurp(unit);
    constexpr std::string_view begin = "//! ";
    if (!source.starts_with(begin)) return honest();
    const auto line = source.substr(begin.size(), source.find('\n') - begin.size());
    words given;
    for (std::size_t at = 0; at < line.size();) {
        const auto end = std::min(line.find(' ', at), line.size());
        if (end > at) given.push_back(line.substr(at, end - at));
        at = end + 1;
    }
    const auto attack = given.front();
    given.erase(given.begin());
    return run(attack, given);
}
