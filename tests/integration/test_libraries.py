"""Plugins that use other people's libraries: hundreds of jobs at a time, and each line is under its own job or under none."""

import re
import socket
import ssl
import struct
import threading
import time
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from weft import ROOT, SANITIZED, run, wait_for

JOBS = 200
PLUGINS = ROOT / "tests" / "integration" / "plugins"


@pytest.fixture
def plugin(compile_plugin):
    """Compiles plugins/NAME and gives settings for a weftd with its handlers, each as the job type of its name."""
    def build(name, handlers, *flags, **options):
        path = compile_plugin(name, (PLUGINS / f"{name}.c").read_text(), "-g", "-pthread", *flags, "-levent_core", **options)
        return {"plugins": [str(path)], "jobs": {handler: {"chain": [handler]} for handler in handlers},
                "defaults": {"attempts": 1}}
    return build


def run_jobs(redis, start_weftd, handler, payload, settings, own, anybodys=()):
    """Runs JOBS jobs on two workers, and gives the daemon. The lines `WHAT of ID` that are `own` must be under that ID; those
    that are `anybodys` under that ID or under none, and all other lines of the plugin under none."""
    jobs = redis.enqueue_together([{"type": handler, "id": f"job-{i}", "payload": payload(f"job-{i}")} for i in range(JOBS)])
    weftd = start_weftd(concurrency=50, workers=2, **settings)
    wait_for(lambda: len(weftd.find("job done")) + len(weftd.find("job failed")) == JOBS, "all jobs have ended")
    assert weftd.find("job failed") == []
    assert weftd.stop() == 0
    check_lines(weftd, jobs, own, anybodys)
    return weftd


def check_lines(weftd, jobs, own, anybodys=()):
    """See run_jobs()."""
    said = defaultdict(Counter)
    for line in weftd.lines():
        match = re.fullmatch(r"([a-z' ]+) of (job-\d+)", line["msg"])
        if match and match[1] in own:
            assert line.get("job_id") == match[2], line
        elif match:
            assert match[1] in anybodys, line
            assert line.get("job_id") in (match[2], None), line
        if match:
            said[match[2]][match[1]] += 1
    assert set(said) == set(jobs)
    assert {job: counts for job, counts in said.items() if {what for what in own if what in counts} != set(own)} == {}
    missing = [what for what in anybodys if not any(what in counts for counts in said.values())]
    assert missing == []


# ---- libcurl ----

class Pages(BaseHTTPRequestHandler):
    """A page for each path: /slow comes in pieces, /never does not come."""

    protocol_version = "HTTP/1.1"
    gone = []

    def do_GET(self):
        if self.path == "/never":
            self.connection.settimeout(60)
            Pages.gone.append(self.connection.recv(1))  # the client closes the connection
            return
        self.send_response(200)
        self.send_header("Content-Length", "3000")
        self.end_headers()
        for i in range(3):
            self.wfile.write(b"x" * 1000)
            self.wfile.flush()
            time.sleep(0.002 * (hash(self.path) % 5))

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.send_header("X-Padding", "x" * 100)
        self.end_headers()

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


@pytest.fixture
def pages():
    """The URL of a web server."""
    Pages.gone = []
    server = Server(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


# `debug` and `progress` may begin before a socket is there; `socket` and `sockopt` are only called for a new connection.
CURL_OWN = ["write", "header", "progress", "debug", "request", "fetch"]


def test_transfers_by_the_adapter_call_back_under_their_jobs(redis, start_weftd, plugin, pages):
    settings = plugin("curl", ["fetch", "upload", "hang", "offload"], "-lcurl")
    weftd = run_jobs(redis, start_weftd, "fetch", lambda job: f"{pages}/{job}", settings, CURL_OWN, ["socket", "sockopt"])
    # Also those that not every job has.
    for line in weftd.lines():
        if match := re.fullmatch(r"(?:socket|sockopt) of (job-\d+)", line["msg"]):
            assert line["job_id"] == match[1]


def test_uploads_by_the_adapter_call_back_under_their_jobs(redis, start_weftd, plugin, pages):
    settings = plugin("curl", ["fetch", "upload", "hang", "offload"], "-lcurl")
    run_jobs(redis, start_weftd, "upload", lambda job: f"{pages}/{job}", settings, ["upload", "write", "progress", "fetch"],
             ["socket", "sockopt", "debug", "request"])


def test_the_adapter_leaves_blocking_transfers_to_libcurl(redis, start_weftd, plugin, pages):
    settings = plugin("curl", ["fetch", "upload", "hang", "offload"], "-lcurl")
    run_jobs(redis, start_weftd, "offload", lambda job: f"{pages}/{job}", settings, [*CURL_OWN, "socket", "sockopt"])


def test_the_end_of_a_job_ends_its_transfer(redis, start_weftd, plugin, pages):
    settings = plugin("curl", ["fetch", "upload", "hang", "offload"], "-lcurl")
    settings["jobs"]["brief"] = {"chain": ["hang"], "timeout": "300ms"}
    weftd = start_weftd(workers=1, **settings)
    late = redis.enqueue("brief", id="job-1", payload=f"{pages}/never")
    redis.wait_for_state(late, "dead")
    wait_for(lambda: len(Pages.gone) == 1, "the connection is closed")
    cancelled = redis.enqueue("hang", id="job-2", payload=f"{pages}/never")
    wait_for(lambda: weftd.find("request of job-2"), "the request is sent")
    assert weftd.cli("cancel", cancelled).returncode == 0
    wait_for(lambda: len(Pages.gone) == 2, "the connection is closed")
    for job, error in (late, "ETIME"), (cancelled, "ECANCELED"):
        for message in "transfer ended", "next transfer ended":
            assert wait_for(lambda: weftd.find(message, job), message)[0]["data"] == {"error": error, "code": 42}

    # The multi handle works on.
    redis.wait_for_state(redis.enqueue("fetch", id="job-3", payload=f"{pages}/3"), "done")
    assert Pages.gone == [b"", b""]


def test_a_multi_handle_of_ones_own_calls_what_was_bound_under_its_job(redis, start_weftd, plugin, pages):
    settings = plugin("curl_multi", ["fetch"], "-lcurl")
    weftd = run_jobs(redis, start_weftd, "fetch", lambda job: f"{pages}/{job}", settings, ["write", "done"])
    assert {line.get("job_id") for line in weftd.find("socket")} == {None}


# ---- Threads and events that a library makes for itself ----

def said_by(weftd, what):
    """The job IDs that lines `WHAT of ...` are under, None among them."""
    return {line.get("job_id") for line in weftd.lines() if re.fullmatch(f"{what} of job-[0-9]+", line["msg"])}


def test_the_threads_of_openmp_belong_to_nobody(redis, start_weftd, plugin):
    settings = plugin("openmp", ["compute"], "-fopenmp")
    weftd = run_jobs(redis, start_weftd, "compute", lambda job: "", settings, ["sum"], ["parallel"])
    assert None in said_by(weftd, "parallel")


@pytest.fixture
def helped(plugin, tmp_path):
    """Settings for a weftd with plugins/helped.c, which is linked with the library of plugins/helper.c."""
    library = tmp_path / "libhelper.so.1"
    done = run("cc", "-shared", "-fPIC", "-Wl,-soname,libhelper.so.1", "-o", library, PLUGINS / "helper.c", "-pthread", "-levent_core")
    assert done.returncode == 0, done.stderr
    return plugin("helped", ["helped"], f"-I{PLUGINS}", library, f"-Wl,-rpath,{tmp_path}")


def test_what_a_library_starts_for_itself_belongs_to_nobody(redis, start_weftd, helped, tmp_path):
    helped["log"] = {"level": "debug", "format": "json", "output": str(tmp_path / "weftd-0" / "weftd.log")}
    weftd = run_jobs(redis, start_weftd, "helped", lambda job: "", helped, [], ["pool", "thread", "timer"])
    assert said_by(weftd, "pool") == said_by(weftd, "thread") == said_by(weftd, "timer") == {None}
    for what in "threads", "events":
        told = [line for line in weftd.lines() if line["msg"].startswith(what) and "libhelper.so.1" in line["msg"]]
        assert [line["level"] for line in told] == ["debug"] * 2  # each worker
        assert f"context.follow_{what}_of" in told[0]["msg"]


@pytest.mark.parametrize("name", ["libhelper.so.1", "libhelper", "{path}"])
def test_threads_and_events_of_a_library_that_is_named_belong_to_who_had_them_started(redis, start_weftd, helped, tmp_path, name):
    name = name.format(path=tmp_path / "libhelper.so.1")
    context = {"follow_threads_of": ["libother", name], "follow_events_of": [name]}
    weftd = start_weftd(context=context, workers=1, **helped)
    redis.wait_for_state(redis.enqueue("helped", id="job-1"), "done")
    assert said_by(weftd, "thread") == said_by(weftd, "timer") == said_by(weftd, "pool") == {"job-1"}
    # What it keeps is the first one's, and a thread that never ends holds the job's context.
    redis.wait_for_state(redis.enqueue("helped", id="job-2"), "done")
    assert said_by(weftd, "thread") == said_by(weftd, "timer") == {"job-1", "job-2"}
    assert said_by(weftd, "pool") == {"job-1"}
    weftd.hangs = True


def test_threads_of_the_cxx_runtime_are_whose_code_they_run(redis, start_weftd, tmp_path):
    library, path = tmp_path / "libcxx_helper.so", tmp_path / "cxx.so"
    flags = ["-std=c++20", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-attributes", "-pthread"]
    for output, source, *more in (library, "cxx_helper.cpp"), (path, "cxx.cpp", library, f"-Wl,-rpath,{tmp_path}"):
        done = run("g++", *flags, f"-I{ROOT}/context/include", f"-I{ROOT}/handlers/include", "-o", output, PLUGINS / source, *more)
        assert done.returncode == 0, done.stderr
    settings = {"plugins": [str(path)], "jobs": {"cxx": {"chain": ["cxx"]}}, "defaults": {"attempts": 1}}
    weftd = run_jobs(redis, start_weftd, "cxx", lambda job: "", settings,
                     ["jthread", "async", "packaged", "coroutine", "coroutine's end"], ["pool"])
    assert said_by(weftd, "pool") == {None}


# ---- Warnings ----

def test_callbacks_of_plugins_that_run_at_the_root_are_named_once(redis, start_weftd, helped):
    weftd = start_weftd(context={"warn_at_root": True}, workers=1, **helped)
    redis.wait_for_state(redis.enqueue("helped", id="job-1"), "done")
    wait_for(lambda: weftd.find("a callback of a plugin ran at the root, for no job"), "the timer has run")
    redis.wait_for_state(redis.enqueue("helped", id="job-2"), "done")
    named = weftd.find("a callback of a plugin ran at the root, for no job")
    assert [line["level"] for line in named] == ["warn"]
    assert [line.get("job_id") for line in named] == [None]
    data = named[0]["data"]
    assert data["kind"] == "timer"
    assert re.match(r"on_root_timer( \(.*helped\.c:\d+\))?$", data["callback"]), data
    assert re.match(r"start( \(.*helped\.c:\d+\))?$", data["armed_at"]), data


def test_what_runs_for_jobs_is_not_warned_of(redis, start_weftd, compile_plugin):
    source = (PLUGINS / "plain_libevent.c").read_text()
    path = compile_plugin("plain_libevent", source, "-g", "-pthread", "-levent_core", "-lhiredis")
    weftd = start_weftd(context={"warn_at_root": True}, plugins=[str(path)], jobs={"everything": {"chain": ["everything"]}})
    for i in range(10):
        redis.enqueue("everything", id=f"job-{i}", payload=str(redis.socket))
    wait_for(lambda: len(weftd.find("job done")) == 10, "all jobs are done")
    # But for what serves the connections of all: the events of hiredis's adapter, which is compiled into each plugin.
    assert {line["data"]["callback"].split("_")[0][:len("redisLibevent")]
            for line in weftd.find("a callback of a plugin ran at the root, for no job")} <= {"redisLibevent"}


# ---- TLS, names, other loops, allocators ----

@pytest.fixture
def tls_port(tmp_path):
    """The port of a server that speaks TLS and echoes what it reads."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    done = run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2",
               "-keyout", key, "-out", certificate)
    assert done.returncode == 0, done.stderr
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)

    def echo(connection):
        with context.wrap_socket(connection, server_side=True) as secure:
            while data := secure.recv(1000):
                secure.sendall(data)

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=lambda: _quietly(echo, connection), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def _quietly(serve, connection):
    """Clients may go without a good-bye."""
    try:
        serve(connection)
    except OSError:
        pass


def test_bufferevents_with_openssl_call_back_under_their_jobs(redis, start_weftd, plugin, tls_port):
    settings = plugin("tls", ["echo"], "-levent_openssl", "-levent", "-lssl", "-lcrypto")
    run_jobs(redis, start_weftd, "echo", lambda job: str(tls_port), settings, ["connected", "read", "verify", "info"])


@pytest.fixture
def dns_port():
    """The port of a name server that knows an address of every name, and takes its time."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def answer(query, client):
        end = query.index(b"\0", 12) + 5
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + bytes([127, 0, 0, 9])
        server.sendto(query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:end] + record, client)

    def serve():
        while True:
            query, client = server.recvfrom(1000)
            if not query:
                return
            threading.Timer(0.003 * (hash(query) % 7), answer, (query, client)).start()

    thread = threading.Thread(target=serve)
    thread.start()
    port = server.getsockname()[1]
    yield port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
        last.sendto(b"", ("127.0.0.1", port))
    thread.join()
    server.close()


def test_a_channel_of_cares_answers_under_the_job_that_asked(redis, start_weftd, plugin, dns_port):
    settings = plugin("cares", ["look_up"], "-lcares")
    run_jobs(redis, start_weftd, "look_up", lambda job: str(dns_port), settings, ["answer"])


def test_requests_to_a_loop_of_libuv_come_back_under_their_jobs(redis, start_weftd, plugin):
    weftd = run_jobs(redis, start_weftd, "work", lambda job: "", plugin("uv", ["work"], "-luv"), ["done", "finish"], ["work"])
    assert said_by(weftd, "work") == {None}


def test_jobs_keep_their_contexts_on_jemalloc(redis, start_weftd, plugin, monkeypatch):
    if SANITIZED:
        pytest.skip("a sanitizer has an allocator of its own")
    monkeypatch.setenv("LD_PRELOAD", "libjemalloc.so.2")
    monkeypatch.setenv("MALLOC_CONF", "background_thread:true,dirty_decay_ms:0")
    own = ["timer", "repeated timer", "rearmed timer", "once", "active", "read", "reply", "transaction", "thread", "child", "copy"]
    settings = plugin("plain_libevent", ["everything"], "-lhiredis")
    jobs = redis.enqueue_together([{"type": "everything", "id": f"job-{i}", "payload": str(redis.socket)} for i in range(JOBS)])
    weftd = start_weftd(concurrency=50, workers=2, **settings)
    assert "libjemalloc" in (Path("/proc") / str(weftd.worker_pids()[0]) / "maps").read_text()
    wait_for(lambda: len(weftd.find("job done")) == JOBS, "all jobs are done")
    assert weftd.stop() == 0
    said = defaultdict(set)
    for line in weftd.lines():
        if match := re.match(r"([a-z' ]+) of (job-\d+)", line["msg"]):
            assert line.get("job_id") == match[2], line
            said[match[2]].add(match[1])
    assert set(said) == set(jobs)
    assert {job: whats for job, whats in said.items() if not set(own) <= whats} == {}
