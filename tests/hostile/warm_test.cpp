// Jobs that are served by tools that were started before them: what a compiler that is taken over in such a jail can
// reach of them, of the server and of other jobs. The compiler is Python's, started like emcc, and does what the
// source says.
#include "arena.hpp"
#include "support/eventually.hpp"
#include "support/proc.hpp"
#include "support/temporary_directory.hpp"

#include <boost/json/array.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

using namespace sandboxd::test;
namespace fs = std::filesystem;

namespace {

// What it may do and should not, it prints with ALLOWED before it; at its end it says DONE.
constexpr const char* attacker = R"python(
import ctypes
import mmap
import os
import signal
import socket
import struct
import sys

# What came in with the process.
inherited = {}
for name in os.listdir('/proc/self/fd'):
  try:
    inherited[int(name)] = os.readlink('/proc/self/fd/' + name)
  except OSError:
    pass

libc = ctypes.CDLL(None, use_errno=True)


def others():
  return [int(name) for name in os.listdir('/proc') if name.isdigit() and int(name) != os.getpid()]


def comm(pid):
  try:
    return open(f'/proc/{pid}/comm').read().strip()
  except OSError:
    return ''


def tools():
  return [pid for pid in others() if comm(pid) == 'sandboxd-tool']


def look():
  """The memory and the descriptors of what serves this job."""
  found = tools()
  if not found:
    print('ALLOWED nothing, since there are no tools')
  for pid in found:
    for name in ('mem', 'maps', 'environ', 'smaps', 'fd', 'fd/3', 'ns/user', 'root', 'cwd', 'exe', 'auxv', 'pagemap'):
      path = f'/proc/{pid}/{name}'
      try:
        if name == 'fd':
          os.listdir(path)
        elif name in ('ns/user', 'root', 'cwd', 'exe', 'fd/3'):
          os.readlink(path)
        else:
          at = os.open(path, os.O_RDWR if name == 'mem' else os.O_RDONLY)
          # Some open for all, and give nothing.
          if name != 'mem' and not os.read(at, 8):
            continue
        print('ALLOWED', name)
      except OSError:
        pass
    for request in (16, 0x4206):  # PTRACE_ATTACH, PTRACE_SEIZE
      if libc.ptrace(request, pid, None, None) == 0:
        print('ALLOWED ptrace')
    block = ctypes.create_string_buffer(8)
    ours = struct.pack('PN', ctypes.addressof(block), 8)
    theirs = struct.pack('PN', 0x400000, 8)
    if libc.process_vm_readv(pid, ours, 1, theirs, 1, 0) >= 0:
      print('ALLOWED process_vm_readv')
    if libc.syscall(438, os.pidfd_open(pid), 3, 0) >= 0:
      print('ALLOWED pidfd_getfd')


def standing():
  """Who it is, and what it has."""
  status = dict(line.split(':', 1) for line in open('/proc/self/status') if ':' in line)
  for name in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb'):
    if int(status[name], 16) != 0:
      print('ALLOWED', name, status[name])
  if status['NoNewPrivs'].strip() != '1' or status['Seccomp'].strip() != '2':
    print('ALLOWED system calls')
  if status['Uid'].split() != ['65534'] * 4 or status['Gid'].split() != ['65534'] * 4 or status['Groups'].strip():
    print('ALLOWED identity', status['Uid'], status['Gid'], status['Groups'])
  for number, target in sorted(inherited.items()):
    kind = target.split(':')[0]
    # 3 is the socket for questions; the last one was the listing itself.
    if number > 3 and not target.startswith('/proc/'):
      print('ALLOWED descriptor', number, target)
    if number <= 3 and kind not in ('/dev/null', 'pipe', 'socket'):
      print('ALLOWED descriptor', number, target)
  for name in ('LD_PRELOAD', 'SANDBOXD_TEST_SECRET'):
    if name in os.environ:
      print('ALLOWED', name)
  print(open('/proc/self/environ').read())
  print(open('/proc/self/maps').read())
  print(open('/proc/self/cmdline').read())
  print(open('/proc/self/mountinfo').read())
  for line in open('/proc/net/unix'):
    name = line.split()[-1]
    if name.startswith('@') and not name.startswith('@sandboxd-tool-'):
      print('ALLOWED socket', name)
  for path in ('/proc/1/root/etc/shadow', '/etc/shadow', '/proc/self/root/etc/passwd'):
    try:
      print('ALLOWED', path, open(path).read())
    except OSError:
      pass
  try:
    os.setns(os.open('/proc/1/ns/mnt', os.O_RDONLY), 0)
    print('ALLOWED setns')
  except (AttributeError, OSError):
    if libc.setns(0, 0) == 0 or libc.unshare(0x10000000) == 0:
      print('ALLOWED namespaces')


def leave():
  """Something for the next job, wherever it can be written."""
  for place in ('/tmp', '/dev/shm', '../out', '/', '/usr/bin', '/dev'):
    try:
      open(place + '/left-behind', 'w').write('x')
    except OSError:
      pass


def find():
  for place in ('/tmp', '/dev/shm', '/', '/usr/bin', '/dev'):
    if os.path.exists(place + '/left-behind'):
      print('ALLOWED', place)


def lie():
  """Questions of every wrong shape to the server."""
  to = socket.socket(fileno=3)
  for head in (struct.pack('=III', 3, 0, 40) + b'\xff' * 40, struct.pack('=III', 3, 4096, 0) + b'x' * 4096,
               struct.pack('=III', 3, 0, 41), struct.pack('=III', 0, 0xffffffff, 0xffffffff),
               struct.pack('=III', 7, 0, 0), b'x' * 11):
    try:
      to.sendall(head + b'x' * 100000)
      to.recv(100)
    except OSError:
      pass


def forge():
  """A question whose answer it would like to choose: what it says beside the question is of no use."""
  to = socket.socket(fileno=3)
  for _ in range(64):
    to.sendall(struct.pack('=III', 0, 0, 2) + b'{}')
    known, size = struct.unpack('=II', to.recv(8, socket.MSG_WAITALL))
    if known:
      print('ALLOWED', to.recv(size, socket.MSG_WAITALL))


def ask_preamble(to, text, *words):
  """Puts the question, and returns the file that came with the answer, or None."""
  told = b''.join(os.fsencode(word) + b'\0' for word in words)
  to.sendall(struct.pack('=III', 2, len(told), len(text)) + told + text)
  head, given, _, _ = socket.recv_fds(to, 8, 4)
  if len(given) > 1:
    print('ALLOWED', len(given), 'files')
  return given[0] if given else None


def pre():
  """Preambles that are none, with arguments that are none, as often as it takes for them to be made."""
  to = socket.socket(fileno=3)
  include = b'#include <stdio.h>\n'
  for text, words in ((b'#include "main.c"\n', []), (b'#include </etc/passwd>\n', []), (b'#include <../../etc/passwd>\n', []),
                      (b'int x;\n' + include, []), (include, ['-I/tmp']), (include, ['-include', '/etc/passwd']),
                      (include, ['-o', '/tmp/x']), (include, ['-Xclang', '-load']), (include, ['main.c']),
                      (include, ['@/etc/passwd']), (b'', []), (b'\0' * 16384, [])):
    for _ in range(4):
      if ask_preamble(to, text, *words) is not None:
        print('ALLOWED', text, words)


def spoil():
  """What all who ask the same get: a precompiled preamble. It has been asked for by others."""
  to = socket.socket(fileno=3)
  given = ask_preamble(to, b'#include <stddef.h>\n#define SPOILT 1\n#include <limits.h>\n')
  if given is None:
    print('not known')
    return
  print('known')
  first = os.pread(given, 64, 0)
  path = f'/proc/self/fd/{given}'
  for what, act in {
      'write': lambda: os.write(given, b'x'),
      'pwrite': lambda: os.pwrite(given, b'x', 0),
      'ftruncate': lambda: os.ftruncate(given, 0),
      'truncate': lambda: os.truncate(path, 0),
      'open': lambda: os.pwrite(os.open(path, os.O_RDWR), b'x', 0),
      'O_TRUNC': lambda: os.open(path, os.O_WRONLY | os.O_TRUNC),
      'fchmod': lambda: os.fchmod(given, 0),
      'chmod': lambda: os.chmod(path, 0),
      'utime': lambda: os.utime(given),
      'xattr': lambda: os.setxattr(path, 'user.x', b'x'),
      'mmap': lambda: mmap.mmap(given, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)}.items():
    try:
      act()
      print('ALLOWED', what)
    except (OSError, ValueError):
      pass
  if os.pread(given, 64, 0) != first:
    print('ALLOWED to change its bytes')
  to.sendall(b'n')


def flood():
  """Calls of every wrong shape to what serves this job."""
  for letter in b'abcdefghi':
    for text in (b'', b'x', struct.pack('=III', 1, 0, 0xffffffff), struct.pack('=III', 0xffffffff, 0xffffffff, 4),
                 struct.pack('=III', 2, 2, 4) + b'abcd', struct.pack('=III', 1, 0, 2) + b'a\0'):
      try:
        to = socket.socket(socket.AF_UNIX)
        to.connect(b'\0sandboxd-tool-' + bytes([letter]))
        if len(text) > 4:
          socket.send_fds(to, [text], [0] * (5 if len(text) % 2 else 9))
        else:
          to.sendall(text)
        to.close()
      except OSError:
        pass


def change():
  """The program that it was forked from, past the jail's read-only mounts."""
  for pid in ['self'] + tools():
    path = f'/proc/{pid}/exe'
    for how in (os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
      try:
        os.open(path, how)
        print('ALLOWED to write', path)
      except OSError:
        pass
    for act in (lambda at: os.fchmod(at, 0o4777), lambda at: os.utime(at), lambda at: os.fchown(at, 65534, 65534),
                lambda at: os.setxattr(at, 'user.left', b'x')):
      try:
        act(os.open(path, os.O_RDONLY))
        print('ALLOWED to change', path)
      except OSError:
        pass


def wait_forever():
  sys.stdout.flush()
  while True:
    signal.pause()


def hoard():
  """Memory of many processes, each below what one may have, and none of it writable any more."""
  for _ in range(4):
    if os.fork() == 0:
      os.setsid()
      size = 128 << 20
      held = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
      for at in range(0, size, 4096):
        held[at] = 1
      place = ctypes.addressof(ctypes.c_char.from_buffer(held))
      libc.mprotect(ctypes.c_void_p(place), ctypes.c_size_t(size), 1)
      wait_forever()
  wait_forever()


def delete():
  """Files without a name, open."""
  kept = []
  for number in range(12):
    kept.append(open(f'../out/{number}', 'wb', buffering=0))
    os.unlink(f'../out/{number}')
    for _ in range(8):
      kept[-1].write(b'x' * (1 << 20))
  wait_forever()


def kill():
  for pid in tools():
    try:
      os.kill(pid, 9)
    except OSError:
      print('no signal')


def crash():
  sys.stdout.flush()
  os.kill(os.getpid(), 11)


def main():
  if '--version' in sys.argv:
    print('emcc (Emscripten gcc/clang-like replacement) 3.1.6')
    return
  text = open('main.c').read()
  words = text.split('\n')[0].split()
  if words[:1] == ['//!']:
    for name in words[1:]:
      globals()[name]()
    print('DONE')
  for name, content in (('app.js', b'js'), ('app.wasm', b'\0asm\1\0\0\0')):
    open('../out/' + name, 'wb').write(content)


if __name__ == '__main__':
  main()
)python";

void write(const fs::path& file, std::string_view text, bool executable = false)
{
    std::ofstream{file} << text;
    fs::permissions(file, executable ? fs::perms{0755} : fs::perms{0644});
}

class hostile_toolchain {
public:
    hostile_toolchain()
    {
        fs::permissions(place_.path(), fs::perms{0755});
        fs::create_directory(place_.path() / "tools");
        fs::permissions(place_.path() / "tools", fs::perms{0755});
        for (const auto* name : {"emcc", "em++"}) {
            write(place_.path() / name, "#!/bin/sh\nexec python3 -E \"$0.py\" \"$@\"\n", true);
            write(place_.path() / (std::string{name} + ".py"), attacker);
        }
        write(place_.path() / "tools/__init__.py", "");
        write(place_.path() / "tools/config.py",
              "LLVM_ROOT = '/usr/bin'\nBINARYEN_ROOT = '/usr'\nCLANG_ADD_VERSION = LLVM_ADD_VERSION = '14'\n"
              "NODE_JS = ['/usr/bin/node']\n");
    }

    const fs::path& path() const { return place_.path(); }

    std::string config() const
    {
        const auto root = place_.path().native();
        return "\"toolchain\": {\"emcc\": \"" + root + "/emcc\", \"path\": \"" + root +
               "/bin:/usr/bin:/bin\", \"mounts\": [\"/bin\", \"/lib\", \"/lib64\", \"/usr/bin\", "
               "\"/usr/lib\", \"" +
               root + "\"]}";
    }

private:
    temporary_directory place_;
};

boost::json::object to_do(const std::string& what)
{
    return {{"code", "//! " + what + "\n"}, {"type", "c"}, {"cache", false}};
}

// What a started tool is: its process, how much it has mapped and open.
struct tool {
    std::size_t mappings;
    std::size_t descriptors;
    bool operator==(const tool&) const = default;
};

std::map<pid_t, tool> tools_of(pid_t server)
{
    std::map<pid_t, tool> found;
    const auto pid = std::to_string(server);
    std::ifstream list{"/proc/" + pid + "/task/" + pid + "/children"};
    for (pid_t one = 0; list >> one;) {
        const auto proc = "/proc/" + std::to_string(one);
        std::string name;
        std::getline(std::ifstream{proc + "/comm"}, name);
        if (name != "sandboxd-tool") continue;
        std::ifstream maps{proc + "/maps"};
        const auto lines = std::count(std::istreambuf_iterator<char>{maps}, {}, '\n');
        std::error_code gone;
        const auto open = std::distance(fs::directory_iterator{proc + "/fd", gone}, fs::directory_iterator{});
        found[one] = {static_cast<std::size_t>(lines), static_cast<std::size_t>(open)};
    }
    return found;
}

std::string told(const std::map<pid_t, tool>& tools)
{
    std::string all;
    for (const auto& [pid, one] : tools)
        all += std::to_string(pid) + ": " + std::to_string(one.mappings) + " mappings, " +
               std::to_string(one.descriptors) + " descriptors; ";
    return all;
}

std::size_t tools_among(const std::vector<pid_t>& processes)
{
    return static_cast<std::size_t>(std::ranges::count_if(processes, [](pid_t one) {
        std::string name;
        std::getline(std::ifstream{"/proc/" + std::to_string(one) + "/comm"}, name);
        return name == "sandboxd-tool";
    }));
}

constexpr const char* by_warm = "sandboxd_compile_path_total{path=\"warm\"}";

// The job is ended, by that limit, and was served by started tools until then.
void end_it(arena& place, const std::string& what, const std::string& code)
{
    INFO(what);
    attack();
    const auto before = place.metric(by_warm);
    const auto v = place.compile(to_do(what));
    INFO(v.log.substr(0, 5000));
    CHECK(v.code == code);
    CHECK(place.metric(by_warm) == before + 1);
}

// Whatever it tries, the job was served by started tools, and got to its end.
void try_it(arena& place, const std::string& what)
{
    INFO(what);
    attack();
    const auto before = place.metric(by_warm);
    const auto v = place.compile(to_do(what));
    INFO(v.log.substr(0, 5000));
    CHECK(v.code == "ok");
    CHECK(v.log.find("ALLOWED") == std::string::npos);
    CHECK(v.log.find("DONE") != std::string::npos);
    CHECK(place.metric(by_warm) == before + 1);
}

}  // namespace

TEMPLATE_TEST_CASE("a job reaches neither the tools that serve it nor what they came from", "[hostile][warm]",
                   in_bubblewrap, in_namespaces)
{
    const hostile_toolchain toolchain;
    arena place{{.jail = TestType::name, .config = toolchain.config()}};
    try_it(place, "standing");
    try_it(place, "look");
    try_it(place, "change");
    place.nothing_left();
}

TEMPLATE_TEST_CASE("what watches a job's memory and disk sees the processes of started tools", "[hostile][warm]",
                   in_bubblewrap, in_namespaces)
{
    const hostile_toolchain toolchain;
    arena place{{.jail = TestType::name,
                 .config = toolchain.config() + R"(, "compileTimeoutSecs": 60, "jobLimits": {"memoryMB": 256},
                 "compile": {"maxJobDiskMB": 32})"}};
    end_it(place, "hoard", "memory_limit");
    place.nothing_left();
    end_it(place, "delete", "disk_limit");
    place.nothing_left();
}

TEST_CASE("tools do not enter the jails of those who could change their program", "[hostile][warm]")
{
    // Only the jail's read-only mount keeps a job from it, and who is forked has /proc/self/exe beside that.
    const hostile_toolchain toolchain;
    const auto python = toolchain.path() / "bin/python3";
    fs::create_directory(toolchain.path() / "bin");
    fs::permissions(toolchain.path() / "bin", fs::perms{0755});
    fs::copy_file(fs::canonical("/usr/bin/python3"), python);
    arena place{{.config = toolchain.config()}};
    attack();
    REQUIRE(::chown(python.c_str(), ::geteuid(), ::geteuid() == 0 ? place.job_group() : ::getegid()) == 0);
    fs::permissions(python, fs::perms{0775});
    const auto before = place.metric(by_warm);
    const auto v = place.compile(to_do("change"));
    INFO(v.log.substr(0, 5000));
    CHECK(v.code == "ok");
    CHECK(v.log.find("ALLOWED") == std::string::npos);
    CHECK(v.log.find("DONE") != std::string::npos);
    CHECK(place.metric(by_warm) == before);
    place.nothing_left();
}

TEST_CASE("a job makes no preamble but the toolchain's, and changes none", "[hostile][warm]")
{
    const hostile_toolchain toolchain;
    arena place{{.config = toolchain.config()}};
    try_it(place, "pre");
    CHECK(place.metric("sandboxd_compile_preambles_total{result=\"known\"}") == 0);
    CHECK(place.metric("sandboxd_compile_preambles_bytes") == 0);
    // Until it is made; what makes it ends by itself.
    bool known = false;
    for (int i = 0; i < 100 && !known; ++i) {
        const auto v = place.compile(to_do("spoil"));
        INFO(v.log);
        REQUIRE(v.log.find("ALLOWED") == std::string::npos);
        known = v.log.find("not known") == std::string::npos;
        while (place.metric("sandboxd_compile_answers_wanted") != 0) {
        }
    }
    CHECK(known);
    // As it was, after somebody tried to spoil it.
    try_it(place, "spoil");
    CHECK(place.metric("sandboxd_compile_preambles_total{result=\"unused\"}") >= 2);
    place.nothing_left();
}

TEMPLATE_TEST_CASE("a job leaves nothing for the next one that the same tools serve", "[hostile][warm]", in_bubblewrap,
                   in_namespaces)
{
    const hostile_toolchain toolchain;
    arena place{{.jail = TestType::name, .config = toolchain.config()}};
    try_it(place, "leave");
    try_it(place, "find");
    place.nothing_left();
}

TEMPLATE_TEST_CASE("questions and calls of every wrong shape end with their job", "[hostile][warm]", in_bubblewrap,
                   in_namespaces)
{
    const hostile_toolchain toolchain;
    arena place{{.jail = TestType::name, .config = toolchain.config()}};
    try_it(place, "flood");
    try_it(place, "lie");
    // compiler.js is not there, so the server finds no answer either, and keeps none.
    try_it(place, "forge");
    try_it(place, "forge");
    place.nothing_left();
}

TEST_CASE("however many jobs crash, the started tools are what they were", "[hostile][warm]")
{
    const hostile_toolchain toolchain;
    arena place{{.config = toolchain.config()}};
    place.compile(to_do("find"));
    // As they are when none of them enters a jail: all are in the one that waits, each with the process of its first
    // call, before and after the look at them.
    std::map<pid_t, tool> before;
    const auto all_wait = [&] {
        const auto jails = jails_that_wait(place.server().pid());
        return jails.size() == 1 && tools_among(jails.front()) == 2 * before.size();
    };
    REQUIRE(eventually([&] {
        before = tools_of(place.server().pid());
        return before.size() > 1 && all_wait() && tools_of(place.server().pid()) == before;
    }));
    // 501 jobs.
    constexpr int rounds = 167;
    for (int i = 0; i < rounds; ++i) {
        attack(3);
        const auto crashed = place.compile(to_do("crash"));
        CHECK(crashed.code == "compile_error");
        const auto killed = place.compile(to_do("kill"));
        INFO(killed.log);
        CHECK((killed.code == "ok" || killed.code == "compile_error" || killed.code == "memory_limit"));
        try_it(place, "flood leave");
    }
    // The same processes, and nothing of a job stayed in one of them. Not while one of them enters a jail.
    std::map<pid_t, tool> after;
    const bool same = eventually([&] {
        after = tools_of(place.server().pid());
        return std::ranges::equal(before, after, [](const auto& was, const auto& is) {
            return was.first == is.first && is.second.mappings <= was.second.mappings &&
                   is.second.descriptors <= was.second.descriptors;
        });
    });
    INFO("before: " << told(before) << "; after: " << told(after));
    INFO(place.server().log());
    CHECK(same);
    place.nothing_left();
}
