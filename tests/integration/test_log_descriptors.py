"""Started with closed descriptors: what weftd and weft open next does not get the numbers of 0 to 2."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from weft import PATIENCE, WEFT, WEFTD, wait_for

SUBSETS = [(0,), (1,), (2,), (0, 2), (0, 1, 2)]


def without(closed):
    """For Popen: closes these last, in the child."""
    def close():
        for fd in closed:
            os.close(fd)
    return close


def standard(pid):
    return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)]


@pytest.mark.parametrize("closed", SUBSETS)
def test_weftd_runs_jobs_whatever_of_its_standard_descriptors_is_closed(start_weftd, redis, tmp_path, closed):
    weftd = start_weftd()
    assert weftd.stop() == 0
    with open(weftd.stderr, "a") as stderr:
        weftd.process = subprocess.Popen([WEFTD, "-c", weftd.config], stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                                         cwd=weftd.folder, preexec_fn=without(closed))
    weftd.starts += 1
    redis.wait_for_state(redis.enqueue("hello", name="Ada"), "done")
    for pid in weftd.pids():
        links = standard(pid)
        assert all(links[fd] == "/dev/null" for fd in closed), links


@pytest.mark.parametrize("outputs", ["auto", "stderr", "stdout", ["stdout", "stderr"]])
def test_a_log_whose_descriptor_was_closed_goes_nowhere_and_ends_nothing(start_weftd, redis, tmp_path, outputs):
    weftd = start_weftd(launch_only=True)
    weftd.process.kill()
    weftd.process.wait(PATIENCE)
    Path(weftd.config).write_text(Path(weftd.config).read_text().replace(f'"{weftd.log}"', repr(outputs).replace("'", '"')))
    weftd.log.unlink(missing_ok=True)
    weftd.process = subprocess.Popen([WEFTD, "-c", weftd.config], cwd=weftd.folder, preexec_fn=without((0, 1, 2)))
    jobs = [redis.enqueue("hello", name="Ada") for _ in range(50)]
    for job in jobs:
        redis.wait_for_state(job, "done")
    wait_for(redis.has_reader, "it waits")
    for pid in weftd.pids():
        assert standard(pid) == ["/dev/null"] * 3
    before = cpu_ticks(weftd.pids())
    time.sleep(1)
    assert cpu_ticks(weftd.pids()) - before < os.sysconf("SC_CLK_TCK") / 2, "weftd keeps itself busy"
    assert weftd.stop() == 0
    weftd.starts = 0


def cpu_ticks(pids):
    return sum(int(word) for pid in pids for word in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])


@pytest.mark.parametrize("closed", SUBSETS)
def test_weft_works_and_leaves_standard_descriptors_alone(start_weftd, redis, closed):
    weftd = start_weftd()
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    done = subprocess.run([WEFT, "-c", weftd.config, "enqueue", "hello", "name=Ada"], text=True, timeout=PATIENCE,
                          preexec_fn=without(closed), **streams)
    assert (done.returncode, done.stderr) == (0, "")
    job, = [line["job_id"] for line in [weftd.wait_for_line("job done")]]
    assert done.stdout == ("" if 1 in closed else f"{job}\n")


def test_weft_takes_a_closed_stdin_for_no_payload_rather_than_for_an_empty_one(start_weftd, redis):
    weftd = start_weftd()
    done = subprocess.run([WEFT, "-c", weftd.config, "enqueue", "hello", "-p", "-"], text=True, timeout=PATIENCE,
                          preexec_fn=without([0]), capture_output=True)
    assert done.returncode != 0
    assert "Bad file descriptor" in done.stderr
