// Starts the server in a cgroup and as a user of the test's choice: in the machine it stands where the server
// was built, and the server at /sandboxd.
//
//     VM_CGROUP   the directory of the cgroup
//     VM_UID      user and group; root if not set
#include <fcntl.h>
#include <grp.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

int main(int, char** argv)
{
    if (const char* group = std::getenv("VM_CGROUP")) {
        const int procs = ::open((std::string{group} + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC);
        if (procs < 0 || ::write(procs, "0", 1) != 1) {
            std::perror(group);
            return 125;
        }
    }
    if (const char* user = std::getenv("VM_UID")) {
        const auto uid = static_cast<uid_t>(std::atoi(user));
        if (::setgroups(0, nullptr) != 0 || ::setgid(uid) != 0 || ::setuid(uid) != 0) {
            std::perror(user);
            return 125;
        }
    }
    ::execv("/sandboxd", argv);
    std::perror("/sandboxd");
    return 125;
}
