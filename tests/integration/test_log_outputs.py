"""What the log is written to: each line is whole there, and whoever does not read it stops nobody."""

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import threading
import time
import tty
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from weft import PATIENCE, ROOT, SANITIZER_REMARK, WEFTD, Weftd, run, wait_for

# The full size is 100000.
LINES = int(os.environ.get("WEFT_LOG_LINES", "4000"))
WORKERS = 3
LINES_A_JOB = 200


class Reader(threading.Thread):
    """Reads a descriptor to its end; can be held up."""

    def __init__(self, fd):
        super().__init__(daemon=True)
        self.fd, self.pieces = fd, []
        self.pause = 0
        self.may_read = threading.Event()
        self.may_read.set()

    def run(self):
        while True:
            self.may_read.wait()
            try:
                piece = os.read(self.fd, 1 << 20)
            except OSError:  # a terminal whose other side is closed
                piece = b""
            if not piece:
                return
            self.pieces.append(piece)
            time.sleep(self.pause)

    def text(self):
        return b"".join(self.pieces)

    def lines(self):
        return self.text().replace(b"\r\n", b"\n").splitlines()


def open_pipe(folder):
    return os.pipe()


def open_fifo(folder):
    os.mkfifo(folder / "fifo")
    reading = os.open(folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(folder / "fifo", os.O_WRONLY)
    os.set_blocking(reading, True)
    return reading, writing


def open_terminal(folder):
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    return ours, theirs


def open_socket(folder):
    return tuple(end.detach() for end in socket.socketpair())


def open_packets(folder):
    return tuple(end.detach() for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))


KINDS = {"pipe": open_pipe, "fifo": open_fifo, "terminal": open_terminal, "socket": open_socket, "packets": open_packets}


class Loud(Weftd):
    """A weftd whose standard error is what a test gives it."""

    def __init__(self, folder, url, fd, **settings):
        folder.mkdir()
        self.fd = fd
        super().__init__(folder, url, **settings)

    def launch(self):
        # What a sanitizer says is no line of the log, and it would wait for a reader that stalls.
        options = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), f"log_path={self.folder / 'sanitizer'}"]))
        # Python ignores SIGXFSZ, and so does weftd then: writing beyond a limit is an error.
        self.process = subprocess.Popen([WEFTD, "-c", self.config], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=self.fd, cwd=self.folder, restore_signals=False,
                                        env=os.environ | {"ASAN_OPTIONS": options})
        self.starts += 1

    def printed(self):
        return [line for path in self.folder.glob("sanitizer.*") for line in path.read_text().splitlines()
                if SANITIZER_REMARK not in line]


@pytest.fixture
def chatter(compile_plugin):
    plugin = compile_plugin("chatter", (ROOT / "tests" / "integration" / "plugins" / "chatter.c").read_text())
    return {"plugins": [str(plugin)], "jobs": {"chatter": {"chain": ["chatter"]}}}


@pytest.fixture
def start_loud(tmp_path, redis, chatter):
    """Starts weftd with one end of what `kind` says as standard error; gives it, and a reader of the other end."""
    started = []

    def start(kind, log, **settings):
        reading, writing = KINDS[kind](tmp_path)
        weftd = Loud(tmp_path / "loud", redis.url, writing, **chatter, log={"format": "json", "level": "info"} | log,
                     **settings)
        weftd.launch()
        os.close(writing)
        started.append(weftd)
        return weftd, Reader(reading)

    yield start
    for weftd in started:
        if weftd.running():
            weftd.process.kill()
            weftd.process.wait(PATIENCE)
        for pid in weftd.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert weftd.printed() == []


def check(lines, jobs, lines_a_job=LINES_A_JOB):
    """Each line is a whole object, and each of each job's lines is there once."""
    seen = Counter()
    for number, line in enumerate(lines):
        try:
            record = json.loads(line)
        except ValueError as problem:
            after = lines[number + 1][:200] if number + 1 < len(lines) else None
            raise AssertionError(f"line {number} of {len(lines)} is torn: {problem}: {line[:200]} … {line[-100:]}; then {after}")
        if record["msg"] == "chatter":
            data = record["data"]
            assert len(data["one"]) + len(data["other"]) == data["size"]
            seen[record["job_id"], data["number"]] += 1
    assert seen == Counter({(job, number): 1 for job in jobs for number in range(lines_a_job)})


def whole(reader):
    return reader.text().replace(b"\r\n", b"\n").rpartition(b"\n")[0].splitlines()


def writers(reader):
    """The processes whose jobs have logged so far."""
    return {record["pid"] for record in map(json.loads, whole(reader)) if record["msg"] == "chatter"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_line_is_whole_whatever_it_is_written_to(start_loud, redis, kind):
    jobs = redis.enqueue_together([{"type": "chatter", "payload": str(LINES_A_JOB)}] * (WORKERS * LINES // LINES_A_JOB))
    weftd, reader = start_loud(kind, {"output": "stderr", "when_full": "block"}, workers=WORKERS, concurrency=4)
    reader.start()

    def all_have_written():
        for job in jobs[-4 * WORKERS:]:
            redis.wait_for_state(job, "done")
        if len(writers(reader)) == WORKERS:
            return True
        # On a busy machine some workers have done all before the others came.
        jobs.extend(redis.enqueue_together([{"type": "chatter", "payload": str(LINES_A_JOB)}] * (4 * WORKERS)))

    for job in jobs:
        redis.wait_for_state(job, "done")
    wait_for(all_have_written, "each worker has done jobs")
    assert weftd.stop() == 0
    reader.join(PATIENCE)
    check(reader.lines(), jobs)


def test_every_line_is_whole_though_workers_are_killed_and_reloaded(start_loud, redis):
    weftd, reader = start_loud("pipe", {"output": "stderr", "when_full": "block"}, workers=WORKERS, concurrency=2)
    reader.start()
    wait_for(redis.has_reader, "a worker waits")
    jobs = redis.enqueue_together([{"type": "chatter", "payload": str(LINES_A_JOB), "attempts": "50"}] * 60)
    for number in range(5):
        time.sleep(0.3)
        if number % 2:
            weftd.send(signal.SIGHUP)
        else:
            for pid in weftd.worker_pids()[:2]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    for job in jobs:
        redis.wait_for_state(job, "done")
    assert weftd.stop() == 0
    reader.join(PATIENCE)
    records = [json.loads(line) for line in reader.lines()]
    seen = {(record["job_id"], record["data"]["number"]) for record in records if record["msg"] == "chatter"}
    assert seen == {(job, number) for job in jobs for number in range(LINES_A_JOB)}
    assert Counter(record["msg"] for record in records)["worker killed by a signal"] >= 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_that_stalls_stops_no_job_and_its_gap_is_said(start_loud, redis, kind):
    weftd, reader = start_loud(kind, {"output": ["stderr"], "buffer": "1MiB"}, workers=2, lease="2s")
    reader.may_read.clear()
    reader.start()
    jobs = redis.enqueue_together([{"type": "chatter", "payload": "400"}] * 40)
    for job in jobs:
        redis.wait_for_state(job, "done")
    assert redis.dead_letters() == []
    reader.may_read.set()
    after = wait_for(lambda: [json.loads(line) for line in whole(reader) if b"lines were lost meanwhile" in line],
                     "what was lost is said")
    lost = int(re.search(r"(\d+) lines were lost", after[0]["msg"])[1])
    assert lost > 0
    assert weftd.stop() == 0
    reader.join(PATIENCE)
    records = [json.loads(line) for line in reader.lines()]
    gaps = {record["job_id"] for record in records if record["msg"] == "log lines of this job were lost"}
    assert gaps and gaps <= set(jobs)
    ended = {record["job_id"] for record in records if record["msg"] == "job done"}
    for job in jobs:
        assert job in gaps or job in ended


@pytest.mark.parametrize("kind", ["pipe", "terminal", "socket"])
def test_a_reader_that_takes_its_time_gets_every_line_at_the_end(start_loud, redis, kind):
    weftd, reader = start_loud(kind, {"output": "stderr", "when_full": "block"}, workers=WORKERS, concurrency=2)
    reader.may_read.clear()
    reader.pause = {"terminal": 0.002}.get(kind, 0.05)
    reader.start()
    jobs = redis.enqueue_together([{"type": "chatter", "payload": "30"}] * 60)
    for job in jobs:
        redis.wait_for_state(job, "done")
    reader.may_read.set()
    assert weftd.stop() == 0
    reader.join(PATIENCE)
    check(reader.lines(), jobs, 30)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def is_healthy(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def test_block_keeps_every_line_and_charges_no_job_for_the_wait(start_loud, redis):
    port = free_port()
    log = {"output": "stderr", "buffer": "1MiB", "when_full": "block"}
    weftd, reader = start_loud("pipe", log, workers=2, lease="2s", defaults={"attempts": 1, "timeout": "3s"},
                               http={"listen": f"127.0.0.1:{port}"})
    reader.may_read.clear()
    reader.start()
    jobs = redis.enqueue_together([{"type": "chatter", "payload": "400"}] * 10)
    wait_for(lambda: is_healthy(port), "weftd answers")
    for _ in range(50):  # longer than the time-out, the lease and the watchdog's patience together
        time.sleep(0.2)
        assert is_healthy(port)
    assert len(weftd.worker_pids()) == 2
    assert any(redis.report(job).get("state") != "done" for job in jobs)
    reader.may_read.set()
    for job in jobs:
        redis.wait_for_state(job, "done")
    assert weftd.stop() == 0
    reader.join(PATIENCE)
    records = [json.loads(line) for line in reader.lines()]
    assert {record["level"] for record in records} <= {"info", "warn"}
    messages = Counter(record["msg"] for record in records)
    assert messages["ending a worker"] == messages["job failed"] == messages["log lines of this job were lost"] == 0
    seen = {(record["job_id"], record["data"]["number"]) for record in records if record["msg"] == "chatter"}
    assert seen == {(job, number) for job in jobs for number in range(400)}


def connections(redis):
    return len(redis.client.client_list())


def mappings(pid):
    return Path(f"/proc/{pid}/maps").read_text().count("/dev/zero")


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
def test_a_reader_that_is_gone_is_told_of_once_and_leaves_nothing_behind(start_loud, redis, tmp_path, kind):
    file = tmp_path / "file.log"
    weftd, reader = start_loud(kind, {"output": ["stderr", str(file)]}, workers=2)
    wait_for(lambda: file.exists() and "weftd ready" in file.read_text(), "weftd is ready")
    os.close(reader.fd)

    def reload(number):
        job = redis.enqueue("chatter", payload="100")
        redis.wait_for_state(job, "done")
        weftd.send(signal.SIGHUP)
        wait_for(lambda: file.read_text().count("weftd reloaded") == number, "it is reloaded")

    reload(1)
    wait_for(lambda: len(weftd.worker_pids()) == 2, "the old workers are gone")
    time.sleep(0.5)
    before = connections(redis), mappings(weftd.process.pid)
    for number in range(2, 8):
        reload(number)
    wait_for(lambda: connections(redis) <= before[0] and mappings(weftd.process.pid) <= before[1], "nothing is left of reloads")
    assert weftd.stop() == 0
    told = [json.loads(line)["msg"] for line in file.read_text().splitlines() if "log output stderr" in line]
    assert len(told) == 1 and told[0].endswith("; its lines are lost from now on")


def test_a_stalled_reader_and_reloads_do_not_pile_up_workers_and_connections(start_loud, redis, tmp_path):
    file = tmp_path / "file.log"
    weftd, reader = start_loud("pipe", {"output": ["stderr", str(file)]}, workers=2, concurrency=1)
    wait_for(lambda: file.exists() and "weftd ready" in file.read_text(), "weftd is ready")
    before = connections(redis)
    for number in range(1, 11):
        for job in redis.enqueue_together([{"type": "chatter", "payload": "100"}] * 10):
            redis.wait_for_state(job, "done")
        weftd.send(signal.SIGHUP)
        wait_for(lambda: file.read_text().count("weftd reloaded") == number, "it is reloaded")
    wait_for(lambda: "log lines of a worker that has ended were lost" in file.read_text(), "what is given up is said")
    assert connections(redis) <= before + 8
    reader.start()
    assert weftd.stop() == 0
    reader.join(PATIENCE)
    for line in reader.lines():
        json.loads(line)


def test_a_fifo_may_get_its_reader_later_and_another_one_after_that(start_weftd, redis, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    weftd = start_weftd(log={"output": [str(tmp_path / "weftd-0" / "weftd.log"), str(fifo)], "format": "json", "level": "info"})
    for _ in range(2):
        job = redis.enqueue("hello", name="Ada")
        with open(fifo, "rb", buffering=0) as reading:
            lines = b""
            while f'"{job}"'.encode() not in lines or not lines.endswith(b"\n"):
                lines += reading.read(65536)
        for line in lines.splitlines():
            json.loads(line)


def test_the_descriptor_of_a_shell_s_terminal_goes_on_to_wait_for_others(start_loud, redis):
    weftd, reader = start_loud("pipe", {"output": "stderr"})
    wait_for(redis.has_reader, "it waits")
    flags = re.search(r"flags:\s*(\d+)", Path(f"/proc/{weftd.process.pid}/fdinfo/2").read_text())[1]
    assert not int(flags, 8) & os.O_NONBLOCK
    reader.start()
    assert weftd.stop() == 0


def test_a_full_disk_leaves_whole_lines(start_loud, redis, tmp_path):
    file = tmp_path / "file.log"
    limit = 256 * 1024
    weftd, reader = start_loud("pipe", {"output": ["stderr", str(file)]}, workers=2)
    reader.start()
    wait_for(redis.has_reader, "it waits")
    for pid in weftd.pids():
        run("prlimit", "--pid", str(pid), f"--fsize={limit}:unlimited")
        # A limit of a file's size stands for a disk that is full: a write is cut, the next one fails.
    jobs = redis.enqueue_together([{"type": "chatter", "payload": "100"}] * 8)
    for job in jobs:
        redis.wait_for_state(job, "done")
    assert file.stat().st_size <= limit
    for pid in weftd.pids():
        run("prlimit", "--pid", str(pid), "--fsize=unlimited:unlimited")
    assert weftd.stop() == 0
    torn = [line for line in file.read_bytes().splitlines() if not line.endswith(b"}")]
    assert len(torn) <= 3
    check([line for line in file.read_bytes().splitlines() if line.endswith(b"}")], jobs, 100)
