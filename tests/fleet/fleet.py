"""deploy/fleet as a test drives it: its commands, its members' metrics, and what is left of it."""
import ctypes
import glob
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

COMMAND = pathlib.Path(__file__).resolve().parents[2] / "deploy/fleet"
CANNOT_START = 3
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
# Only a hang takes so long.
PATIENCE_SECS = 120


class CannotStart(Exception):
    """Not root, or a program is missing."""


class Trouble(Exception):
    pass


def eventually(holds, patience=PATIENCE_SECS):
    """Whether it holds within that time; asks again and again."""
    until = time.monotonic() + patience
    while True:
        if holds():
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.05)


def ends_with_us():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Fleet:
    """A fleet from its start to its end. `pods`: their names."""

    def __init__(self, binary, config, *words):
        """`config`: a file. Raises CannotStart, Trouble."""
        # What outlives its pod becomes ours, and so is seen.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        self.lock = threading.Lock()
        self.process = subprocess.Popen([COMMAND, "--binary", binary, "--config", config, "--commands", *words], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        preexec_fn=ends_with_us)
        self.said = []
        self.complaints = []
        threading.Thread(target=self.read_complaints, daemon=True).start()
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith("==> ready: "):
                break
        else:
            code = self.process.wait()
            raise (CannotStart if code == CANNOT_START else Trouble)("".join(self.complaints).strip() or f"exit code {code}")
        self.places = json.loads(pathlib.Path(line.split()[-1]).read_text())
        self.logs = pathlib.Path(self.places["logs"])
        self.pods = list(self.places["pods"])

    def read_complaints(self):
        for line in self.process.stderr:
            self.complaints.append(line)

    def do(self, command, pause_secs=0):
        """Has it obeyed; raises Trouble if it cannot be. With a pause, most of its last word comes late."""
        with self.lock:
            line = command + "\n"
            if pause_secs > 0:
                begin = line.rindex(" ") + 2
                self.process.stdin.write(line[:begin])
                self.process.stdin.flush()
                time.sleep(pause_secs)
                line = line[begin:]
            self.process.stdin.write(line)
            self.process.stdin.flush()
            for line in self.process.stdout:
                if line.startswith("done: "):
                    return
                if line.startswith("failed: "):
                    raise Trouble(line.strip())
        raise Trouble(f"{command}: deploy/fleet has ended: " + "".join(self.complaints[-5:]))

    def can(self, command):
        try:
            self.do(command)
            return True
        except Trouble:
            return False

    def stop(self):
        """Returns the exit code."""
        self.process.stdin.close()
        self.process.stdout.read()
        return self.process.wait()

    def connect(self, to):
        """To "front" or a pod."""
        place = self.places["front"] if to == "front" else self.places["pods"][to]
        return http.client.HTTPConnection(place.removeprefix("http://"), timeout=PATIENCE_SECS)

    def get(self, pod, path, key=None):
        """Status and body; status 0: no answer."""
        connection = self.connect(pod)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {key}"} if key else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as problem:
            return 0, str(problem)
        finally:
            connection.close()

    def metric(self, name, key, pods=None):
        """The sum over the pods, and over all samples whose name with labels begins so. `key`: one with the scope admin."""
        total = 0
        for pod in pods or self.pods:
            for line in self.get(pod, "/metrics", key)[1].splitlines():
                if line.startswith(name) and line[len(name)] in " {," + ("}" if "{" in name else ""):
                    total += float(line.rsplit(" ", 1)[1])
        return total

    def troubles(self, pods=None):
        """What /readyz says of the pods: 503, or the cache or Redis that one misses."""
        found = []
        for pod in pods or self.pods:
            status, body = self.get(pod, "/readyz")
            if status != 200:
                found.append(f"{pod}: {status} {body}")
                continue
            found += [f"{pod}: {one}" for one in json.loads(body)["degraded"] if "store.remote" in one or "cluster.redis" in one]
        return found

    def leases(self):
        """The keys in Redis that say that somebody compiles, or runs a deployment."""
        redis = self.places["redis"]
        with socket.create_connection((redis["host"], redis["port"])) as to:
            answers = to.makefile("rb")

            def say(*words):
                to.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(one), one) for one in words))
                return read()

            def read():
                line = answers.readline().rstrip()
                kind, rest = line[:1], line[1:]
                if kind == b"-":
                    raise Trouble(f"Redis: {rest.decode()}")
                if kind == b"*":
                    return [read() for _ in range(int(rest))]
                if kind == b"$":
                    if int(rest) < 0:
                        return None
                    return answers.read(int(rest) + 2)[:-2]
                return rest

            say(b"AUTH", redis["user"].encode(), redis["password"].encode())
            return [f"{key.decode()} for {int(say(b'PTTL', key))} ms" for kind in (b"compile", b"deployment-server")
                    for key in say(b"KEYS", b"sandboxd:" + kind + b":*") if say(b"GET", key) not in (None, b"over")]

    def strays(self):
        """Processes that outlive what started them. Reaps those that have ended."""
        found = []
        for name in glob.glob("/proc/[0-9]*/stat"):
            try:
                fields = pathlib.Path(name).read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            pid = int(name.split("/")[2])
            if int(fields[1]) != os.getpid() or pid == self.process.pid:
                continue
            if fields[0] == "Z":
                os.waitpid(pid, os.WNOHANG)
            else:
                found.append(pid)
        return found

    def rest(self):
        """Directories and links of it that are there still."""
        number = self.logs.name.rsplit("-", 1)[1]
        return [one for one in (str(self.logs), f"/sys/class/net/sbxfleet{number}") if os.path.exists(one)]
