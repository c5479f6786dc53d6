"""etc/quickstart, without a terminal, on a copy of the tree: the first thing that a new user sees."""

import fcntl
import re
import shlex
import shutil

import pytest

from weft import ROOT, run

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("quickstart")]  # they share what it builds

REQUEST = ["Starting request processing", "Fetching user 123", "Getting permissions for Jane Doe", "Permissions retrieved",
           "Request finished successfully"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone") / "weft"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
    return folder


def quickstart(clone):
    done = run(clone / "etc" / "quickstart", cwd="/", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def told(output, job):
    """What the job's handler logged, without the lines that weft writes about each job."""
    messages = re.findall(rf"^\[{job}\] (.*)$", output, re.MULTILINE)
    return [message for message in messages if message not in ("job started", "job done")]


def test_a_first_and_a_second_start_show_the_requests_and_one_jobs_log_and_stop_cleanly(clone):
    for _ in range(2):
        output = quickstart(clone)
        assert told(output, "req-A") == told(output, "req-B") == REQUEST
        assert told(output, "order-1") == ["Order of acme accepted", "Enqueued a child job"]
        assert "\n[profile-2] job dead\n" in output
        log = output.split("logs req-A\n")[1].split("\n==")[0]
        assert [message for line in log.splitlines() for message in REQUEST if message in line] == REQUEST
        assert "req-B" not in log
        stopped = (clone / "build" / "quickstart" / "weftd.log").read_text().splitlines()[-1]
        assert '"msg":"weftd stopped"' in stopped and '"live_jobs":0' in stopped


def test_the_commands_that_it_says_to_type_next_name_what_is_there(clone):
    for command in re.findall(r"^  (build/.*|redis-cli .*)$", quickstart(clone), re.MULTILINE):
        program, *words = shlex.split(command)
        assert program == "redis-cli" or (clone / program).exists()
        assert "-c" not in words or (clone / words[words.index("-c") + 1]).exists()


def test_a_quickstart_beside_a_running_one_says_so(clone):
    state = clone / "build" / "quickstart"
    state.mkdir(parents=True, exist_ok=True)
    with open(state / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run(clone / "etc" / "quickstart")
    assert done.returncode == 1
    assert "one is running already in this folder" in done.stderr
