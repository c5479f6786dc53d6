"""gdb with etc/gdb/weftd-gdb.py: jobs, fibers and their stacks, in a live worker and in a core dump."""

import os
import re
import resource
import signal
from pathlib import Path

import pytest

from weft import PATIENCE, ROOT, SANITIZED, WEFTD, run, wait_for

SCRIPT = ROOT / "etc" / "gdb" / "weftd-gdb.py"
SOURCE = (ROOT / "tests" / "integration" / "plugins" / "waits.c").read_text()
NAMES = ["sleeps", "joins", "expects", "offloads", "hogs", "release"]


@pytest.fixture
def weftd(redis, start_weftd, compile_plugin):
    """One with jobs that wait, each for something else."""
    started = start_weftd(plugins=[str(compile_plugin("waits", SOURCE, "-g"))], jobs={name: {"chain": [name]} for name in NAMES},
                          defaults={"attempts": 1}, shutdown_timeout="100ms")
    for job, job_type in {"42": "sleeps", "43": "joins", "44": "expects", "45": "offloads"}.items():
        redis.enqueue(job_type, id=job)
        started.wait_for_line("job started", job)
    started.wait_for_line("subtask started", "43")
    yield started
    redis.enqueue("release")


def run_gdb(*words):
    done = run("gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", *words)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def with_commands(commands):
    return ["-x", SCRIPT, *(argument for command in commands for argument in ("-ex", command))]


def dump_core(weftd):
    """Ends the worker by a signal that nobody catches, and gives the kernel's core dump. (gcore leaves out what lies
    behind a guard of a fiber's stack.)"""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if SANITIZED or not re.fullmatch(r"[\w.%-]+", pattern):
        pytest.skip("no core dumps: a sanitizer suppresses them, or core_pattern has them go to a program")
    worker, = weftd.worker_pids()
    resource.prlimit(worker, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    weftd.forgive("worker killed by a signal")
    os.kill(worker, signal.SIGXCPU)
    weftd.wait_for_line("worker killed by a signal")
    core, = (path for path in weftd.folder.iterdir() if path.name.startswith(pattern.split("%")[0]) and path.is_file())
    return core


@pytest.fixture(params=["live", "core"])
def gdb(request, weftd):
    """Runs gdb commands on the worker, or on a core dump of it; gives what they print."""
    target = [WEFTD, dump_core(weftd)] if request.param == "core" else ["-p", *weftd.worker_pids()]

    def commands(*words):
        return run_gdb(*target, *with_commands(words)).stdout

    return commands


def stacks(output):
    """The stack of each fiber, as the names of functions, the innermost first, by the fiber's first line."""
    found = {}
    for line in output.splitlines():
        if line.startswith("fiber "):
            found[line] = functions = []
        elif frame := re.match(r"  #\d+ +(?:0x\w+ in )?(\w+) \(", line):
            functions.append(frame[1])
    return found


def test_every_fiber_is_shown_with_its_job_what_it_waits_for_and_its_stack(gdb):
    output = gdb("weft jobs", "weft fibers", "weft stacks")
    for job, job_type in (("42", "sleeps"), ("43", "joins"), ("44", "expects"), ("45", "offloads")):
        assert re.search(rf"^{job} +running +{job_type} +default +1 +{job_type} ", output, re.MULTILINE), output
    for job, name, wait in (("42", "job sleeps", "sleep at sleeps"), ("43", "job joins", "join audit at joins"),
                            ("43", "task audit", "sleep at audit"), ("44", "job expects", "future at expects"),
                            ("45", "job offloads", "thread at offloads")):
        assert re.search(rf"^\d+ +waiting +{job} +{name} +{wait} \(waits\.c:\d+\)", output, re.MULTILINE), output

    found = stacks(output)
    wanted = {"job 42, waiting: sleep": ["weft_sleep_ms", "sleeps"], "task audit, job 43": ["weft_sleep_ms", "audit"],
              "job joins, job 43": ["weft_join", "joins"], "job 44, waiting": ["expects"],
              "job 45, waiting": ["weft_offload", "offloads"]}
    for title, functions in wanted.items():
        stack, = [stack for line, stack in found.items() if title in line]
        assert [name for name in stack if name in functions] == functions, output
    assert len(found) == len(wanted), output


def test_one_job_is_found_by_its_id_and_its_fiber_can_be_looked_into(gdb):
    number = re.search(r"^fiber (\d+): job joins", gdb("weft job 43"), re.MULTILINE)[1]
    output = gdb(f"weft fiber {number}", "frame function joins", "info source", "weft fiber off", "backtrace 1")
    entered, _, left = output.partition("Current source file is ")
    assert re.search(r"^#\d+ .* in joins \(job=0x\w+\) at .*waits\.c:\d+$", entered, re.MULTILINE), output
    assert "waits.c" in left.splitlines()[0] and "#0" in left and "joins" not in left.partition("#0")[2], output


def test_a_worker_that_is_stuck_shows_the_stack_of_what_runs(redis, weftd):
    redis.enqueue("hogs", id="46", payload=str(PATIENCE * 1000))
    worker, = weftd.worker_pids()

    def look():  # its log is of no use: a worker hands lines over when it turns to something else
        output = run_gdb("-p", worker, *with_commands(["weft stacks"])).stdout
        return [(stack, output) for line, stack in stacks(output).items() if "job 46, running" in line]

    (stack, output), = wait_for(look, "the job runs")
    assert "hogs" in stack and "sleeps" not in stack, output
    assert len(stacks(output)) == 6, output
    weftd.forgive("worker killed by a signal")
    os.kill(worker, signal.SIGKILL)


def test_mistakes_are_told(weftd):
    worker, = weftd.worker_pids()
    done = run_gdb("-p", worker, *with_commands(["weft job nobody"]))
    assert 'this worker has no job "nobody"' in done.stderr
    done = run_gdb("-p", worker, *with_commands(["weft fiber x"]))
    assert 'there is no fiber "x"' in done.stderr
    done = run_gdb("-p", weftd.process.pid, *with_commands(["weft jobs"]))
    assert "is it a worker, and not the supervisor?" in done.stderr
