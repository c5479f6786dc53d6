"""Ten thousand jobs at once on one worker: every line stands under the job that wrote it."""

from collections import defaultdict

from weft import wait_for

JOBS = 10_000
MESSAGES = ["job started", "Starting request processing", "Fetching user 123", "Getting permissions for Jane Doe",
            "Permissions retrieved", "Request finished successfully", "job done"]


def test_each_of_ten_thousand_interleaved_jobs_logs_exactly_its_own_lines(redis, start_weftd):
    jobs = [f"req-{i}" for i in range(JOBS)]
    redis.enqueue_together([{"type": "request", "id": job, "request_id": f"request-of-{job}"} for job in jobs])
    weftd = start_weftd(concurrency=2000)
    wait_for(lambda: redis.waiting() == 0 and len(weftd.find("job done")) == JOBS, "all jobs are done")
    assert weftd.stop() == 0

    lines = defaultdict(list)
    for line in weftd.lines():
        if "job_id" in line:
            lines[line["job_id"]].append(line)
        else:
            assert line["msg"] not in MESSAGES
    assert set(lines) == set(jobs)
    assert [job for job in jobs if [line["msg"] for line in lines[job]] != MESSAGES] == []
    assert [job for job in jobs if {line["ctx"]["request_id"] for line in lines[job]} != {f"request-of-{job}"}] == []
    assert weftd.find("weftd stopped")[0]["data"] == {
        "jobs_done": JOBS, "jobs_failed": 0, "live_contexts": 0, "live_tasks": 0, "live_jobs": 0}
    print(most_at_once(weftd.lines()), "jobs ran at once")
    assert most_at_once(weftd.lines()) > 1000


def most_at_once(lines):
    """How many jobs were between their first and their last line at the same time."""
    most = now = 0
    for line in lines:
        now += (line["msg"] == "job started") - (line["msg"] == "job done")
        most = max(most, now)
    return most
