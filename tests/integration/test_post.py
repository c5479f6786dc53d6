"""Threads of plugins find their way back into the worker's loop, and a worker forks while they do."""

import errno
import re
from collections import Counter

import pytest

from weft import ROOT, wait_for

JOBS = 200


@pytest.fixture
def poster(compile_plugin):
    """Settings for a weftd whose job types are the handlers of plugins/post.c."""
    source = (ROOT / "tests" / "integration" / "plugins" / "post.c").read_text()
    plugin = compile_plugin("post", source, "-g", "-pthread", "-levent_core")
    return {"plugins": [str(plugin)], "jobs": {name: {"chain": [name]} for name in ["exchange", "fork_often"]},
            "defaults": {"attempts": 1}}


def test_what_threads_post_runs_under_the_job_that_started_them(redis, start_weftd, poster):
    jobs = redis.enqueue_together([{"type": "exchange", "id": f"job-{i}"} for i in range(JOBS)])
    weftd = start_weftd(concurrency=50, workers=2, **poster)
    wait_for(lambda: len(weftd.find("job done")) == JOBS, "all jobs are done")
    assert weftd.stop() == 0

    said = [(re.fullmatch(r"(post|once) of (\S+)", line["msg"]), line) for line in weftd.lines()]
    spoken = Counter((match[1], match[2], line.get("job_id")) for match, line in said if match)
    assert spoken == Counter((what, job, job) for job in jobs for what in ("post", "once"))


def test_posting_is_possible_from_the_load_of_a_plugin_to_its_stop(redis, start_weftd, poster):
    weftd = start_weftd(**poster)
    assert weftd.stop() == 0
    assert len(weftd.find("post at load gave 0")) == 1
    assert len(weftd.find(f"post at stop gave -{errno.ESHUTDOWN}")) == 1


def test_a_worker_forks_while_other_threads_use_its_base(redis, start_weftd, poster, monkeypatch):
    monkeypatch.setenv("POST_CHURNS", "1")
    weftd = start_weftd(workers=1, **poster)
    for i in range(5):
        redis.wait_for_state(redis.enqueue("fork_often", id=f"forker-{i}"), "done")
    assert weftd.stop() == 0
    assert weftd.find("a churner has a job") == []
