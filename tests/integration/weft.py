"""Real servers for the tests: a private redis-server, and the weftd of the build under test."""

import inspect
import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("WEFT_BUILD", ROOT / "build" / "dev")).resolve()
# Whatever has several stacks is told this.
SANITIZER_REMARK = "ASan doesn't fully support makecontext/swapcontext"
SANITIZED = re.search(r"^WEFT_SANITIZE:\w+=.", (BUILD / "CMakeCache.txt").read_text(), re.MULTILINE) is not None
WEFTD = BUILD / "daemon" / "weftd"
WEFT = BUILD / "daemon" / "weft"
EXAMPLES = BUILD / "handlers" / "examples.so"

PATIENCE = 120  # seconds: far beyond what a slow machine under a sanitizer needs, so that only what hangs runs into it


def wait_for(predicate, what, timeout=PATIENCE):
    """Polls until `predicate()` gives something true, and gives that."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout} s in vain: {what}"
        time.sleep(0.02)


def run(*command, **options):
    """Runs a command to its end, with its output as text."""
    defaults = {"timeout": PATIENCE} | ({} if "input" in options else {"stdin": subprocess.DEVNULL})
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **(defaults | options))


def describe_process(pid):
    """What a process is doing, as far as this system tells: for what hangs."""
    folder, words = Path(f"/proc/{pid}"), []
    try:
        status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
        words.append(f"{pid}, child of {status['PPid']}: {(folder / 'cmdline').read_bytes().replace(bytes(1), b' ').decode()}")
        words.append(", ".join(f"{name} {status[name].strip()}" for name in ("State", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt")))
        for task in sorted((folder / "task").iterdir()):
            words.append(f"thread {task.name} waits in {(task / 'wchan').read_text()}")
        words += [f"{link.name} -> {os.readlink(link)}" for link in sorted((folder / "fd").iterdir())]
    except OSError as error:
        words.append(f"{pid}: {error}")
    stacks = run("gdb", "-nx", "-batch", "-p", pid, "-ex", "thread apply all backtrace", timeout=10 * PATIENCE)
    words += [line for line in stacks.stdout.splitlines() if line.startswith(("Thread", "#"))]
    return "\n".join(words)


def is_child(pid):
    """Whether the process is one that this test has started itself, such as a supervisor."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
    except OSError:
        return False


class Redis:
    """A private redis-server on a unix socket, which keeps its data over stop() and start()."""

    def __init__(self, folder, *options):
        self.folder = folder
        self.options = options
        self.socket = folder / "redis.sock"
        self.client = connect(self.socket)
        self.process = None

    @property
    def url(self):
        return f"unix://{self.socket}"

    def launch(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder), "--save", "",
             "--appendonly", "yes", "--logfile", "redis.log", *self.options], stdin=subprocess.DEVNULL)

    def start(self):
        self.launch()
        wait_for(self.answers, "redis-server answers")
        return self

    def answers(self):
        try:
            return self.client.ping()
        except redis.exceptions.ConnectionError:  # or it is still loading
            return False

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def cli(self, *words):
        """What the real redis-cli prints."""
        done = run("redis-cli", "-s", self.socket, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def enqueue(self, job_type, queue="default", **fields):
        """Enqueues a job and gives its ID."""
        entry = self.client.xadd(key(queue), {"type": job_type, **fields})
        return fields.get("id", entry)

    def enqueue_together(self, messages, queue="default"):
        """Enqueues messages so that no worker can see one without the others; gives the job IDs."""
        pipeline = self.client.pipeline(transaction=True)
        for fields in messages:
            pipeline.xadd(key(queue), fields)
        return [fields.get("id", entry) for fields, entry in zip(messages, pipeline.execute())]

    def report(self, job, queue="default"):
        return self.client.hgetall(key(queue, "job", job))

    def wait_for_state(self, job, *states, queue="default"):
        """The job's report, once it is in one of the states."""
        wait_for(lambda: self.report(job, queue).get("state") in states, f"job {job} is {' or '.join(states)}")
        return self.report(job, queue)

    def dead_letters(self, queue="default"):
        return [fields for _, fields in self.client.xrange(key(queue, "dead"))]

    def waiting(self, queue="default"):
        """Entries of the stream: jobs that are ready or in flight."""
        return self.client.xlen(key(queue))

    def has_reader(self):
        """Whether a worker waits for new jobs."""
        return self.client.info("clients")["blocked_clients"] > 0


class Connection(redis.UnixDomainSocketConnection):
    """Some versions of the library name these where they say that a connection has broken, whatever it is to."""

    host = "the unix socket"
    port = 0


def connect(socket):
    """A client whose values are text, whatever bytes they are, and that sends nothing of its own accord, nor anything twice:
    later versions of the library do when a connection breaks, and pause before that."""
    taken = inspect.signature(redis.Redis).parameters
    quiet = {name: None for name in ("lib_name", "lib_version") if name in taken}
    client = redis.Redis(unix_socket_path=str(socket), decode_responses=True, encoding_errors="surrogateescape",
                         retry=Retry(NoBackoff(), 0), **quiet)
    client.connection_pool.connection_class = Connection
    return client


def key(queue, *rest):
    return ":".join([f"weft:{{{queue}}}", *rest])


def configuration(**settings):
    """The shipped examples' configuration with some of its top-level settings replaced; None leaves one out."""
    blocks = re.split(r"(?m)^(?=[a-z_]+:)", (ROOT / "etc" / "examples.yaml").read_text())
    kept = [block for block in blocks if block.split(":")[0] not in settings]
    return "".join(kept) + "".join(f"{name}: {json.dumps(value)}\n" for name, value in settings.items()
                                   if value is not None)


class Weftd:
    """A weftd in the foreground, and what it logs."""

    def __init__(self, folder, url, **settings):
        self.folder = folder
        self.config = folder / "weftd.yaml"
        self.log = folder / "weftd.log"
        self.stderr = folder / "weftd.stderr"
        self.process = None
        self.starts = 0
        self.read, self.offset = [], 0
        self.forgiven = set()
        self.hangs = False  # a thread that never ends keeps its job, whose context is then alive to the end
        self.settings = {
            "redis": {"url": url},
            "node": "testnode",
            "workers": 1,
            "plugins": [str(EXAMPLES)],
            "log": {"level": "info", "format": "json", "output": str(self.log), "fields": ["*"]},
        } | settings
        self.configure(**self.settings)

    def configure(self, **settings):
        """Writes the configuration whole at once: a weftd that reads it meanwhile finds the old one or the new one."""
        draft = self.config.with_suffix(".draft")
        draft.write_text(configuration(**settings))
        draft.rename(self.config)

    def launch(self):
        with open(self.stderr, "a") as stderr:
            self.process = subprocess.Popen([WEFTD, "-c", self.config], stdin=subprocess.DEVNULL, stdout=stderr,
                                            stderr=stderr, cwd=self.folder)
        self.starts += 1

    def start(self):
        """Starts it and waits until it is ready."""
        self.launch()
        wait_for(lambda: self.process.poll() is not None or self.ready_lines() == self.starts, "weftd is ready")
        assert self.process.poll() is None, f"weftd has ended: {self.stderr.read_text()}"
        return self

    def ready_lines(self):
        return self.log.read_text().count("weftd ready") if self.log.exists() else 0

    def send(self, number):
        os.kill(self.process.pid, number)

    def stop(self, number=signal.SIGTERM):
        """Ends it with a signal and gives the exit code."""
        self.send(number)
        return self.process.wait(PATIENCE)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def pids(self):
        """All processes of this weftd, those of earlier starts too, whoever their parents are."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self.owns(pid)]

    def owns(self, pid):
        try:
            return str(self.config).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False

    def worker_pids(self):
        return [pid for pid in self.pids() if not is_child(pid)]

    def lines(self):
        """All lines of the log so far, as dicts."""
        if self.log.exists():
            with open(self.log, "rb") as log:
                log.seek(self.offset)
                complete = log.read().rpartition(b"\n")
            self.offset += len(complete[0] + complete[1])
            self.read += [json.loads(line) for line in complete[0].splitlines()]
        return self.read

    def find(self, message, job=None):
        return [line for line in self.lines() if line["msg"] == message and job in (None, line.get("job_id"))]

    def wait_for_line(self, message, job=None):
        return wait_for(lambda: self.find(message, job), f"the log says {message!r}")[0]

    def history(self, what):
        """How often each job came to `what`, start or end, by the file that the handlers of plugins/walk.c write."""
        path = self.folder / "history"
        return Counter(line.split()[1] for line in path.read_text().splitlines() if line.split()[0] == what
                       ) if path.exists() else Counter()

    def job_lines(self, job):
        return [line for line in self.lines() if line.get("job_id") == job]

    def messages(self, job):
        return [line["msg"] for line in self.job_lines(job)]

    def printed(self):
        """What it printed, less a sanitizer's general remark about programs that have several stacks."""
        return [line for line in self.stderr.read_text().splitlines() if SANITIZER_REMARK not in line]

    def forgive(self, *messages):
        """Ends of workers that the test has brought about."""
        self.forgiven |= set(messages)

    def cli(self, *words, **options):
        """Runs `weft` with this weftd's configuration."""
        return run(WEFT, "-c", self.config, *words, **options)

    def is_remarkable(self, line):
        """Where workers are meant to crash, so is a sanitizer's report of that; not of what only it can see."""
        if self.forgiven:
            return "runtime error" in line or re.search(r"AddressSanitizer: \S*(buffer-overflow|use-after|free|poison)", line)
        return not line.startswith('{"ts":')

    def assert_clean(self):
        """Nothing was left alive at the end, no worker crashed, and no library or sanitizer had anything to say."""
        assert [line for line in self.printed() if self.is_remarkable(line)] == []
        for message in {"worker killed by a signal", "worker ended"} - self.forgiven:
            assert self.find(message) == []
        stopped = self.find("weftd stopped")
        assert len(stopped) == self.starts
        for line in stopped:
            alive = {name: value for name, value in line["data"].items() if name.startswith("live_")}
            assert self.hangs or alive == {"live_contexts": 0, "live_tasks": 0, "live_jobs": 0}
