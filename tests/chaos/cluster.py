"""The processes of a chaos run: a Redis, the relay before it, and two weftds, all of them started again when they end."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("WEFT_BUILD", ROOT / "build" / "dev")).resolve()
WEFTD = BUILD / "daemon" / "weftd"
WEFT = BUILD / "daemon" / "weft"

QUEUES = ("default", "bulk")
NODES = ("a", "b")
WORKERS = 2
LEASE = 5.0
SHUTDOWN_TIMEOUT = 3.0
ATTEMPTS = 5
KINDS = ("nap", "flaky", "again", "refuse", "thread", "spawn", "parent")
CRASHES = ("segfault", "abort", "divide", "leave", "overflow", "loop")
KEEP = {"done": "1d", "done_max": 10_000_000, "failed": "1d", "dead": 1_000_000}

PATIENCE = 60.0       # seconds that a clean stop may take before the run is given up
START_PAUSE = 0.1     # seconds before a weftd that could not start is started again
EXIT_NO_REDIS = 69    # the one failure that a weftd is allowed


def key(queue, *rest):
    return ":".join([f"weft:{{{queue}}}", *rest])


def connect(socket, timeout=5.0):
    """A client that sends nothing twice, as later versions of the library do of their own accord: a job would be there twice,
    without anybody having noted it."""
    return redis.Redis(unix_socket_path=str(socket), decode_responses=True, encoding_errors="surrogateescape",
                       socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0))


def consumers(client, queue):
    """The names of a queue's consumers."""
    try:
        return [consumer["name"] for consumer in client.xinfo_consumers(key(queue), "weft")]
    except redis.exceptions.ResponseError:
        return []  # no group yet


def compile_plugin(folder):
    source = Path(__file__).parent / "plugin" / "chaos.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-std=gnu17", "-O1", "-g", "-Wall", "-Wextra", "-Werror",
                    f"-I{ROOT}/context/include", f"-I{ROOT}/handlers/include", "-o", folder / "chaos.so", source],
                   check=True, stdin=subprocess.DEVNULL)
    return folder / "chaos.so"


def children(pid):
    """The PIDs of a process's children; none if it is gone."""
    try:
        return sorted(int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    except OSError:
        return []


def parent_of(pid):
    """The PID of a process's parent; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def hold(pid, parent):
    """A handle (pidfd) for a process that is still the child of `parent`, or None: never for another that may have got
    its PID."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return None
    if parent_of(pid) == parent:
        return handle
    os.close(handle)
    return None


def send(pid, number, parent):
    """Sends a signal to a child of `parent`; gives whether there was one."""
    handle = hold(pid, parent)
    if handle is None:
        return False
    try:
        signal.pidfd_send_signal(handle, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)


def script_names():
    """The scripts' names by what EVALSHA calls them."""
    source = (BUILD / "queue" / "scripts.c").read_text()
    return {sha: name for name, sha in re.findall(r'"(\w+)",\s+"([0-9a-f]{40})"', source)}


class SlowScripts:
    """Which of weft's scripts have held Redis up, by SLOWLOG: asked now and then, since Redis forgets it when it dies.

    More than SLOW is told. What a machine does that stops Redis in the middle of a script looks the same, so only what
    takes longer than STUCK, and does so more often than Redis was stopped by us, is a mistake of weft's."""

    SLOW = 0.010
    STUCK = 0.100
    ALLOWED = 3

    def __init__(self):
        self.names = script_names()
        self.seen = set()
        self.slow = []  # seconds and name, of each

    def name_of(self, words):
        if words[0].upper() == "EVALSHA":
            return self.names.get(words[1])
        return "EVAL" if words[0].upper() == "EVAL" else None

    def collect(self, client):
        for entry in client.slowlog_get(1000):
            key, words = (entry["id"], entry["start_time"], entry["duration"]), str(entry["command"]).split()
            name = self.name_of(words) if len(words) > 1 and key not in self.seen else None
            self.seen.add(key)
            if name and entry["duration"] >= self.SLOW * 1e6:
                self.slow.append((entry["duration"] / 1e6, name))

    def stuck(self):
        return [one for one in self.slow if one[0] >= self.STUCK]

    def describe(self):
        if not self.slow:
            return "no script held Redis up for 10 ms"
        longest, name = max(self.slow)
        return f"{len(self.slow)} scripts held Redis up for more than 10 ms, {name} for {longest * 1000:.0f} ms"


class Redis:
    """redis-server with an append-only file that is on the disk before any reply is sent."""

    def __init__(self, folder, durable=True):
        self.folder = folder
        self.socket = folder / "redis.sock"
        self.options = ["--appendonly", "yes", "--appendfsync", "always"] if durable else []
        self.admin = connect(self.socket)
        self.hasty = connect(self.socket, timeout=0.3)  # for faults, which must not wait
        self.process = None

    def start(self):
        with open(self.folder / "redis.stderr", "a") as stderr:
            self.process = subprocess.Popen(
                ["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.folder, "--save", "",
                 "--logfile", "redis.log", "--slowlog-log-slower-than", "10000", "--slowlog-max-len", "1000", "--auto-aof-rewrite-min-size", "8mb", *self.options],
                stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)

    def wait(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.admin.ping()
            except redis.exceptions.RedisError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(PATIENCE)


class Proxy:
    """The relay's process, with one socket for each node and one for the producers."""

    def __init__(self, folder, target):
        self.sockets = {name: folder / f"proxy-{name}.sock" for name in (*NODES, "producers")}
        self.target = target
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", Path(__file__).parent / "proxy.py", self.target,
             *(f"{name}={socket}" for name, socket in self.sockets.items())], stdin=subprocess.PIPE, text=True)
        while not all(socket.exists() for socket in self.sockets.values()):
            time.sleep(0.01)

    def order(self, *words):
        print(*words, file=self.process.stdin, flush=True)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Node:
    """A weftd that is started again whenever it ends, as systemd would."""

    def __init__(self, folder, name, socket, plugin, journal, **settings):
        self.name, self.folder, self.journal = name, folder, journal
        self.config = folder / f"{name}.yaml"
        self.log = folder / f"{name}.log"
        self.history = folder / f"{name}.history"
        self.wanted = False
        self.process = None
        self.endings = 0
        self.start_at = 0.0
        self.asked_to_end_at = None
        self.known_workers = set()
        self.configuration = {
            "redis": {"url": f"unix://{socket}"}, "node": name, "workers": WORKERS, "concurrency": 100,
            "lease": f"{LEASE * 1000:.0f}ms", "shutdown_timeout": f"{SHUTDOWN_TIMEOUT * 1000:.0f}ms",
            "queues": [{"name": queue} for queue in QUEUES], "plugins": [str(plugin)],
            "defaults": {"attempts": ATTEMPTS, "timeout": "2m", "backoff": {"base": "20ms", "max": "200ms", "jitter": 0.5}},
            "jobs": {kind: {"chain": [kind]} for kind in (*KINDS, *(f"crash_{how}" for how in CRASHES))},
            "keep": KEEP, "log": {"level": "info", "format": "json", "output": str(self.log), "fields": ["*"]},
        } | settings
        self.write_configuration()

    def write_configuration(self):
        """YAML, of which JSON is a part, put in place of the old one in one step."""
        new = self.config.with_suffix(".new")
        new.write_text("\n".join(f"{name}: {json.dumps(value)}" for name, value in self.configuration.items()) + "\n")
        new.rename(self.config)

    def start(self):
        self.wanted = True
        self.asked_to_end_at = None
        environment = os.environ | {"CHAOS_HISTORY": str(self.history)}
        with open(self.folder / f"{self.name}.stderr", "a") as stderr:
            self.process = subprocess.Popen([WEFTD, "-c", self.config], stdin=subprocess.DEVNULL, stdout=stderr,
                                            stderr=stderr, cwd=self.folder, env=environment)
        self.journal.write("node_started", node=self.name, pid=self.process.pid)

    def workers(self):
        """The PIDs of the live workers."""
        if not self.process or self.process.poll() is not None:
            return []
        found = children(self.process.pid)
        self.known_workers |= set(found)
        return found

    def is_ready(self):
        """Whether it would not die of a SIGHUP, which nobody sends to a weftd that is only just starting."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return False
        masks = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigBlk", "SigIgn", "SigCgt"))]
        return any(mask & 1 << signal.SIGHUP - 1 for mask in masks)

    def look_after(self):
        """Starts it again if it has ended; to be called often."""
        now = time.monotonic()
        self.workers()
        if self.process and self.process.poll() is not None:
            code = self.process.returncode
            self.endings += 1
            self.journal.write("node_ended", node=self.name, pid=self.process.pid, code=code)
            self.process = None
            self.start_at = now if code <= 0 else now + START_PAUSE
        elif self.process and self.asked_to_end_at and now - self.asked_to_end_at > PATIENCE:
            self.journal.write("node_stuck", node=self.name, pid=self.process.pid, workers=self.workers())
            self.process.kill()
        elif not self.process and self.wanted and now >= self.start_at:
            self.start()

    def ask_to_end(self):
        self.asked_to_end_at = self.asked_to_end_at or time.monotonic()
        self.process.terminate()

    def stop(self):
        """Ends it for good, and gives the exit code, or None where it had to be killed."""
        self.wanted = False
        if not self.process:
            return 0
        self.ask_to_end()
        process = self.process
        while self.process:
            self.look_after()
            time.sleep(0.02)
        return process.returncode

    def end_by_force(self):
        """Leaves nothing behind of a run that is given up."""
        self.wanted = False
        supervisor = self.process.pid if self.process else 0
        for worker in self.workers():
            send(worker, signal.SIGKILL, supervisor)
        if self.process:
            self.process.kill()
            self.process.wait()
        for orphan in self.orphans():
            os.kill(orphan, signal.SIGKILL)

    def printed(self):
        """What it printed, which is not its log, less a sanitizer's general remark about programs that have several stacks."""
        return [line for line in (self.folder / f"{self.name}.stderr").read_text(errors="replace").splitlines()
                if "ASan doesn't fully support makecontext/swapcontext" not in line]

    def orphans(self):
        """Workers that are alive though their supervisor is not."""
        own = self.workers()
        return [pid for pid in self.known_workers
                if pid not in own and is_alive(pid) and self.is_ours(pid)]

    def is_ours(self, pid):
        try:
            return str(self.config).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
