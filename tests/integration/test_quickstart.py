"""etc/quickstart, without a terminal, on a copy of the tree: the first thing that a new user sees."""

import fcntl
import re
import shutil

import pytest

from weft import ROOT, run

INTERLEAVED = """\
[req-A] Starting request processing
[req-A] Fetching user 123
[req-B] Starting request processing
[req-B] Fetching user 123
[req-A] Getting permissions for Jane Doe
[req-B] Getting permissions for Jane Doe
[req-A] Permissions retrieved
[req-A] Request finished successfully
[req-B] Permissions retrieved
[req-B] Request finished successfully
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone") / "weft"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
    return folder


def quickstart(clone):
    done = run(clone / "etc" / "quickstart", cwd="/", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def own_lines(output):
    """What the two requests themselves logged, without the lines that weft writes about each job."""
    return "".join(line + "\n" for line in output.splitlines()
                   if re.match(r"\[req-[AB]\]", line) and not re.search(r"\] job (started|done)$", line))


def test_a_first_and_a_second_start_show_the_interleaved_requests_and_one_jobs_log(clone):
    for _ in range(2):
        output = quickstart(clone)
        assert own_lines(output) == INTERLEAVED
        log = output.split("logs req-A\n")[1].split("==")[0]
        assert "Permissions retrieved" in log and "req-B" not in log
        assert not (clone / "build" / "quickstart" / "redis" / "redis.sock").exists()


def test_a_quickstart_beside_a_running_one_says_so(clone):
    state = clone / "build" / "quickstart"
    state.mkdir(parents=True, exist_ok=True)
    with open(state / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run(clone / "etc" / "quickstart")
    assert done.returncode == 1
    assert "one is running already in this folder" in done.stderr
