"""Plugins that use other people's libraries: hundreds of jobs at a time, and each line is under its own job or under none."""

import re
import threading
import time
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from weft import ROOT, wait_for

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
        match = re.fullmatch(r"([a-z0-9:* ]+) of (job-\d+)", line["msg"])
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
