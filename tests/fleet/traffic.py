"""What two tenants do with a fleet meanwhile, and the books on what came of it."""
import collections
import hashlib
import http.client
import json
import random
import re
import threading
import time
import uuid

from fleet import PATIENCE_SECS, Trouble

MOST_PRINTED = 40
# What the front sends by its id; all else goes by the client.
BY_ID = re.compile("/(?:artifacts|faas)/([0-9a-f-]{32,36})(?:/|$)")

# Tells each request to it once, with what it was sent, and afterwards which requests it has had.
PROGRAM = """
const me = require('crypto').randomUUID(), seen = [];
require('http').createServer((q, r) => {
    if (q.url.startsWith('/seen/')) return r.end(JSON.stringify({program: me, seen: seen.slice(+q.url.slice(6))}));
    seen.push(q.url);
    let body = '';
    q.on('data', (piece) => body += piece);
    q.on('end', () => setTimeout(() => r.end(JSON.stringify({program: me, url: q.url, body})), q.url.startsWith('/slow/') ? 500 : 0));
}).listen(process.env.PORT);
"""


class Answer:
    def __init__(self, status, fields, body, began):
        self.status = status
        self.pod = fields.get("X-Pod")
        self.is_of_server = fields.get("X-Request-Id") is not None
        self.body = body
        self.began = began

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    @property
    def code(self):
        value = self.json()
        return value.get("code", "") if isinstance(value, dict) else ""

    def __str__(self):
        return f"{self.status} of {self.pod}: {self.body[:300].decode(errors='replace')}"


class Books:
    """Counts, from all threads."""

    def __init__(self):
        self.guard = threading.Lock()
        self.tally = collections.Counter()
        self.good = collections.Counter()  # by kind
        self.checked = collections.Counter()
        self.sent = 0
        self.lost = []
        self.excused = 0
        self.wrong = []
        self.violations = []

    def count(self, kind, what):
        with self.guard:
            self.tally[f"{kind} {what}"] += 1

    def was_good(self, kind):
        with self.guard:
            self.good[kind] += 1

    def check(self, kind, holds, what):
        """A byte of an answer that must be so."""
        with self.guard:
            self.checked[kind] += 1
            if not holds:
                self.wrong.append(f"{kind}: {what}")
                print(f"fleet: WRONG: {kind}: {what}", flush=True)

    def violation(self, what):
        with self.guard:
            self.violations.append(what)
            if len(self.violations) <= MOST_PRINTED:
                print(f"fleet: VIOLATION: {what}", flush=True)

    def is_lost(self, what):
        with self.guard:
            self.lost.append(what)
            if len(self.lost) <= MOST_PRINTED:
                print(f"fleet: LOST: {what}", flush=True)


class Windows:
    """Times in which something was so; one that goes on has no end."""

    def __init__(self):
        self.all = []

    def begin(self, what=None):
        self.all.append([what, time.monotonic(), float("inf")])

    def end(self):
        self.all[-1][2] = time.monotonic()

    def touch(self, began, ended):
        """Whether one of them and this time have a moment in common."""
        return any(start <= ended and began <= end for _, start, end in self.all)

    def during(self, began, ended):
        return {what for what, start, end in self.all if start <= ended and began <= end}


class Sky:
    """What goes on, and so explains answers that are not the usual ones."""

    def __init__(self):
        self.kills = Windows()    # from before SIGKILL until HAProxy has noticed, with the pod
        self.moves = Windows()    # a pod is away, which is named, so others have its clients and ids
        self.caches = Windows()   # the cache has a fault, or some pod has not recovered from one
        self.indexes = Windows()  # the same of Redis


class Gate:
    """Lets a kind of traffic through, or has it wait."""

    def __init__(self):
        self.changed = threading.Condition()
        self.is_closed = False
        self.inside = 0

    def __enter__(self):
        with self.changed:
            self.changed.wait_for(lambda: not self.is_closed)
            self.inside += 1

    def __exit__(self, *_):
        with self.changed:
            self.inside -= 1
            self.changed.notify_all()

    def close(self):
        """Returns when nobody is inside."""
        with self.changed:
            self.is_closed = True
            self.changed.wait_for(lambda: self.inside == 0)

    def open(self):
        with self.changed:
            self.is_closed = False
            self.changed.notify_all()


class World:
    def __init__(self, fleet, seed):
        self.fleet = fleet
        self.seed = seed
        self.books = Books()
        self.sky = Sky()
        self.is_over = threading.Event()
        self.compiles = Gate()
        self.guard = threading.Lock()
        self.artifacts = {}  # path: SHA-256, of those that are in the cache
        self.digests = {}    # id: the artifacts' digests


class Client:
    """One connection, to "front" or a pod. Nothing is sent twice."""

    def __init__(self, world, to="front", key=None):
        self.world = world
        self.to = to
        self.key = key
        self.connection = world.fleet.connect(to)
        self.came_from = {}  # by what is asked for: the pod that has answered last

    def ask(self, kind, method, path, value=None, fields=None):
        """The answer; None: none came, which is in the books."""
        books = self.world.books
        headers = dict(fields or {})
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        body = None
        if value is not None:
            body = json.dumps(value) if not isinstance(value, str) else value
            headers["Content-Type"] = "application/json"
        with books.guard:
            books.sent += 1
        began = time.monotonic()
        by_id = BY_ID.match(path)
        route = by_id[1] if by_id else "client"
        # Where HAProxy only closes the connection, nobody says which pod it was.
        pod = self.came_from.get(route) if self.to == "front" else self.to
        try:
            self.connection.request(method, path, body, headers)
            answer = self.connection.getresponse()
            pod = answer.getheader("X-Pod", pod)
            got = Answer(answer.status, answer.headers, answer.read(), began)
            self.came_from[route] = pod
        except (OSError, http.client.HTTPException) as problem:
            self.connection.close()
            self.no_answer(kind, f"{method} {path}: {type(problem).__name__}: {problem}", pod, began)
            return None
        # HAProxy's own, of a request that a pod has had or that no pod wanted; or a pod that was to have no more.
        if got.status >= 500 and (not got.is_of_server or got.code == "draining"):
            self.no_answer(kind, f"{method} {path}: {got}", pod, began)
            return None
        books.count(kind, f"{got.status}" + (f" {got.code}" if got.code else ""))
        return got

    def no_answer(self, kind, what, pod, began):
        killed = self.world.sky.kills.during(began, time.monotonic())
        if killed and (pod is None or pod in killed):
            with self.world.books.guard:
                self.world.books.excused += 1
            self.world.books.count(kind, "cut by the kill")
        else:
            self.world.books.is_lost(f"{kind}: {what} (pod {pod})")

    def came_to_nothing(self, kind, answer):
        """An answer that is not a good one: whether the server is only full. All others are in the books by now."""
        if answer.status == 503 and answer.code in ("queue_full", "queue_timeout"):
            return
        self.world.books.violation(f"{kind}: {answer}")

    def touches(self, windows, answer):
        return windows.touch(answer.began, time.monotonic())

    def may_lack_index(self, answer):
        """What needs Redis, or what the cache has, says so while one of them is away."""
        sky = self.world.sky
        return (answer.status == 503 and answer.code == "index_unavailable" and
                (self.touches(sky.indexes, answer) or self.touches(sky.caches, answer)))

    def was_cut(self, answer):
        """A request that one pod had passed on to another, which was killed then; it is not sent again."""
        return answer.status == 502 and self.touches(self.world.sky.kills, answer)


def c_source(text):
    return f'#include <stdio.h>\nint main(void) {{ puts("{text}"); return 0; }}\n'


def digests_of(answer):
    return {one["url"]: one["sha256"] for one in answer.json().get("artifacts", [])}


class Tenant:
    """What one does, each kind in a thread of its own."""

    def __init__(self, world, name, key):
        self.world = world
        self.name = name
        self.key = key
        self.sources = []

    def loops(self):
        return [self.execute, self.compile, self.run_sandboxes, self.download]

    def run(self, loop):
        client = Client(self.world, key=self.key)
        random_source = random.Random(f"{self.world.seed} {self.name} {loop.__name__}")
        while not self.world.is_over.is_set():
            loop(client, random_source)

    def pause(self, seconds):
        self.world.is_over.wait(seconds)

    def execute(self, client, _):
        nonce = uuid.uuid4().hex
        answer = client.ask("execute", "POST", "/execute", {"script": f"'{nonce}' + 6 * 7"})
        if answer and answer.status == 200:
            result = answer.json().get("result")
            self.world.books.check("execute", result == f"{nonce}42", f"{nonce}: {result}")
            self.world.books.was_good("execute")
        elif answer:
            client.came_to_nothing("execute", answer)
        self.pause(0.05)

    def compile(self, client, random_source):
        with self.world.compiles:
            if self.sources and random_source.random() < 0.5:
                request = random_source.choice(self.sources)
            else:
                request = {"code": c_source(uuid.uuid4().hex), "type": "c", "args": ["-O0"]}
            answer = client.ask("compile", "POST", "/compile", request)
            if answer and answer.status == 200:
                self.world.books.was_good("compile")
                if request not in self.sources:
                    self.sources.append(request)
                self.is_the_same(answer)
                if not answer.json().get("cached"):
                    self.reaches_the_others(answer)
            elif answer:
                client.came_to_nothing("compile", answer)
        self.pause(0.3)

    def is_the_same(self, answer):
        """One id has the same artifacts, whoever made them."""
        entry, digests = answer.json().get("id"), digests_of(answer)
        with self.world.guard:
            known = self.world.digests.setdefault(entry, digests)
        self.world.books.check("compile", digests and known == digests, f"{entry} has other artifacts than before")

    def reaches_the_others(self, answer):
        """By their ids the front looks for artifacts at any pod, most often one that has to get them from the cache."""
        client = Client(self.world)
        began = time.monotonic()
        for path, digest in digests_of(answer).items():
            with self.world.guard:
                if path in self.world.artifacts:
                    continue
            attempts = 0
            # It is written to the cache after the answer.
            while not (pod := self.get_artifact(client, path, digest, is_shared=False)):
                attempts += 1
                now = time.monotonic()
                may_never_come = self.world.sky.caches.touch(began, now) or self.world.sky.moves.touch(began, now)
                if self.world.is_over.is_set() or (may_never_come and attempts > 10):
                    return
                if now > began + PATIENCE_SECS and not may_never_come:
                    return self.world.books.violation(f"{path} does not come to the other pods")
                self.pause(0.1)
            # Its maker has it in any case.
            if pod != answer.pod:
                with self.world.guard:
                    self.world.artifacts[path] = digest

    def get_artifact(self, client, path, digest, is_shared):
        """The pod that it came from; nothing, if it did not. `is_shared`: each pod can have it."""
        answer = client.ask("artifact", "GET", path)
        if not answer:
            return None
        if answer.status == 200:
            got = hashlib.sha256(answer.body).hexdigest()
            self.world.books.check("artifact", got == digest, f"{path} of {answer.pod} has the SHA-256 {got}, not {digest}")
            self.world.books.was_good("artifact")
            return answer.pod
        # A cache that does not answer, or lies, is as none.
        is_explained = answer.status in (404, 503) and (not is_shared or client.touches(self.world.sky.caches, answer))
        if not is_explained:
            client.came_to_nothing("artifact", answer)
        return None

    def download(self, client, random_source):
        with self.world.guard:
            known = list(self.world.artifacts.items())
        if known:
            path, digest = random_source.choice(known)
            self.get_artifact(client, path, digest, is_shared=True)
        self.pause(0.05)

    def run_sandboxes(self, client, _):
        nonce = uuid.uuid4().hex
        made = client.ask("sandbox", "POST", "/sandbox", {"runtime": "node", "code": f"console.log('{nonce}')"})
        if made and made.status == 200:
            path = f"/sandbox/{made.json()['id']}"
            answer = client.ask("sandbox", "POST", path + "/execute")
            if answer and answer.status == 200:
                printed = answer.json().get("stdout")
                self.world.books.check("sandbox", printed == nonce + "\n", f"{nonce}: {answer}")
                self.world.books.was_good("sandbox")
            elif answer and not client.may_lack_index(answer):
                client.came_to_nothing("sandbox", answer)
            client.ask("sandbox", "DELETE", path)
        elif made and not client.may_lack_index(made):
            client.came_to_nothing("sandbox", made)
        self.pause(0.5)


class Deployment:
    """A program, asked all the time by its id, through the front."""

    def __init__(self, world, entry, pod, key):
        self.world = world
        self.entry = entry
        self.pod = pod
        self.key = key
        self.good_at = time.monotonic()
        self.longest_secs = 0  # without an answer
        self.delivered = collections.Counter()  # what the programs say, by nonce
        self.answered = {}                       # nonce: the program that has answered
        self.known = {}                          # program: how many of its requests are in `delivered`

    def visit(self):
        client = Client(self.world)
        random_source = random.Random(f"{self.world.seed} {self.pod}")
        while not self.world.is_over.is_set():
            self.visit_once(client, random_source)
            self.world.is_over.wait(0.05)

    def visit_once(self, client, random_source):
        nonce = uuid.uuid4().hex
        url = f"/{random_source.choice(['fast', 'fast', 'fast', 'slow'])}/{nonce}"
        method, body = random_source.choice([("GET", None), ("POST", f'"{nonce}"')])
        answer = client.ask("deployment", method, f"/faas/{self.entry}{url}", body)
        if not answer:
            return
        if answer.status == 200:
            told = answer.json()
            self.world.books.check("deployment", told.get("url") == url and told.get("body") == (body or ""), f"{url}: {answer}")
            self.answered[nonce] = told.get("program")
            now = time.monotonic()
            self.longest_secs = max(self.longest_secs, now - self.good_at)
            self.good_at = now
            self.world.books.was_good("deployment")
        elif client.was_cut(answer):
            with self.world.books.guard:
                self.world.books.excused += 1
        # A Redis that comes back empty knows of none, until those who run them have told it again.
        elif not client.may_lack_index(answer) and not (answer.status == 404 and client.touches(self.world.sky.indexes, answer)):
            client.came_to_nothing("deployment", answer)

    def listen(self):
        """Gathers which requests its programs have had: each keeps that only as long as it lives."""
        client = Client(self.world)
        while not self.world.is_over.is_set():
            self.gather(client)
            self.world.is_over.wait(0.2)

    def gather(self, client):
        # Which program answers is not known before.
        program, first = next(reversed(self.known.items()), (None, 0))
        answer = client.ask("program", "GET", f"/faas/{self.entry}/seen/{first}")
        if not answer or answer.status != 200:
            return False
        told = answer.json()
        if told["program"] != program:
            self.known[told["program"]] = 0
            return self.gather(client) if first else self.take(told)
        return self.take(told)

    def take(self, told):
        for url in told["seen"]:
            nonce = url.rsplit("/", 1)[1]
            self.delivered[nonce] += 1
            # A second program has had what a first one has answered.
            if self.answered.get(nonce, told["program"]) != told["program"]:
                self.delivered[nonce] += 1
        self.known[told["program"]] += len(told["seen"])
        return True

    def duplicates(self):
        return [nonce for nonce, times in self.delivered.items() if times > 1]


def make_deployment(world, pod, key):
    """A deployment that this pod has made; its id leads the front to any."""
    made = Client(world, pod, key).ask("deploy", "POST", "/faas/deploy", {"runtime": "node", "code": PROGRAM})
    if not made or made.status not in (200, 201):
        raise Trouble(f"{pod} deploys nothing: {made}")
    return Deployment(world, made.json()["deployment_id"], pod, key)


def share(world, key, pods, request):
    """Asks these pods for the same at once, past the front. Returns the answers that came, by pod."""
    answers = {}
    barrier = threading.Barrier(len(pods))

    def one(pod):
        client = Client(world, pod, key)
        barrier.wait()
        answers[pod] = client.ask("shared compile", "POST", "/compile", request)

    threads = [threading.Thread(target=one, args=(pod,)) for pod in pods]
    for each in threads:
        each.start()
    return threads, answers

