"""`weft`, the command: enqueue, logs, status, queues, dead. Cancelling and retrying have files of their own."""

import json
import signal
import subprocess
import time

import pytest

from weft import PATIENCE, WEFT, Weftd, run

COMMANDS = ["enqueue", "logs", "status", "ps", "cancel", "queues", "dead"]


@pytest.fixture
def weftd(start_weftd, probe):
    return start_weftd(**probe)


def output(weftd, *words, **options):
    done = weftd.cli(*words, **options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def assert_not_found(done, job):
    assert (done.returncode, done.stdout) == (1, "")
    assert job in done.stderr and done.stderr.count("\n") == 1


def test_enqueue_prints_the_id_of_a_job_that_runs(redis, weftd):
    job = output(weftd, "enqueue", "speak", "-p", "hello", "tenant=acme", "request_id=req-A").strip()
    redis.wait_for_state(job, "done")
    assert weftd.messages(job) == ["job started", "hello", "job done"]
    assert weftd.job_lines(job)[0]["ctx"] == {"tenant": "acme", "request_id": "req-A"}


def test_enqueue_reads_the_payload_from_stdin(redis, weftd):
    job = output(weftd, "enqueue", "speak", "-p", "-", input="from stdin").strip()
    redis.wait_for_state(job, "done")
    assert weftd.messages(job)[1] == "from stdin"


def test_enqueue_takes_the_job_id_the_queue_and_a_delay(redis, start_weftd, probe):
    weftd = start_weftd(**probe, queues=[{"name": "default"}, {"name": "bulk"}])
    assert output(weftd, "enqueue", "speak", "-q", "bulk", "id=mine", "--delay", "1h").strip() == "mine"
    redis.wait_for_state("mine", "delayed", queue="bulk")


def test_enqueue_refuses_what_weftd_would_refuse(redis, weftd):
    for words in (["a b"], ["speak", "id=a/b"], ["speak", "a:b=1"], ["speak", "surplus"], ["speak", "--delay", "soon"], []):
        done = weftd.cli("enqueue", *words)
        assert (done.returncode, done.stdout) == (64, ""), words
        assert done.stderr != ""
    assert redis.dead_letters() == []


def test_status_shows_the_report(redis, weftd):
    job = redis.enqueue("report")
    redis.wait_for_state(job, "done")
    table = output(weftd, "status", job)
    assert job in table and "done" in table and '{"answer":42}' in table
    report = json.loads(output(weftd, "status", job, "--json"))
    assert (report["id"], report["state"], report["type"], report["attempt"]) == (job, "done", "report", 1)


def test_status_says_when_a_job_is_due_and_has_its_fields_in_one_order(redis, weftd):
    at = int(time.time() * 1000) + 3600_000
    due = time.strftime(f"%Y-%m-%dT%H:%M:%S.{at % 1000:03}Z", time.gmtime(at // 1000))
    late, done = redis.enqueue("report", at=due), redis.enqueue("report")
    redis.wait_for_state(late, "delayed")
    redis.wait_for_state(done, "done")
    assert json.loads(output(weftd, "status", late, "--json"))["due_at"] == due
    shown = [line.partition(":")[0] for line in output(weftd, "status", late).splitlines()]
    assert shown[:3] == ["id", "queue", "state"] and "due_at" in shown
    fields = redis.report(done)
    key = f"weft:{{default}}:job:{done}"
    redis.client.delete(key)
    redis.client.hset(key, mapping=dict(reversed(fields.items())) | {"other": "x"})
    shown = [line.partition(":")[0] for line in output(weftd, "status", done).splitlines()]
    assert shown == ["id", "queue", "state", "type", "attempt", "node", "enqueued_at", "started_at", "finished_at", "duration_us", "result",
                     "progress", "other"]


def test_status_of_an_unknown_job_is_not_found(weftd):
    assert_not_found(weftd.cli("status", "nobody"), "nobody")


def test_logs_shows_the_lines_of_one_job_only(redis, weftd):
    job, other = redis.enqueue("speak", payload="mine"), redis.enqueue("speak", payload="of another")
    redis.wait_for_state(job, "done")
    redis.wait_for_state(other, "done")
    lines = output(weftd, "logs", job).splitlines()
    assert len(lines) == 3
    assert all(message in line for message, line in zip(["job started", "mine", "job done"], lines))
    assert [json.loads(line) for line in output(weftd, "logs", "--json", job).splitlines()] == weftd.job_lines(job)


def test_logs_of_a_root_shows_its_family(redis, weftd):
    parent = redis.enqueue("speak", payload="parent")
    redis.wait_for_state(parent, "done")
    child = redis.enqueue("speak", payload="child", root=parent, parent=parent)
    redis.wait_for_state(child, "done")
    lines = [json.loads(line) for line in output(weftd, "logs", "--json", parent).splitlines()]
    assert [line["msg"] for line in lines] == ["job started", "parent", "job done", "job started", "child", "job done"]
    assert len(output(weftd, "logs", child).splitlines()) == 3


def test_logs_follows_a_job_until_it_is_interrupted(redis, weftd):
    job = redis.enqueue("nap", payload="1000")
    weftd.wait_for_line("napping", job)
    # As a terminal starts it: whoever runs the tests in the background has this signal ignored, and that is inherited.
    following = subprocess.Popen([WEFT, "-c", weftd.config, "logs", "-f", job], stdout=subprocess.PIPE, text=True,
                                 preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    lines = [following.stdout.readline() for _ in range(4)]
    assert [message for message, line in zip(["job started", "napping", "awake", "job done"], lines)
            if message in line] == ["job started", "napping", "awake", "job done"]
    assert following.poll() is None
    following.send_signal(signal.SIGINT)
    assert following.communicate(timeout=PATIENCE) == ("", None)
    assert following.returncode in (0, 130, -signal.SIGINT)


def test_logs_of_an_unknown_job_is_not_found(weftd):
    assert_not_found(weftd.cli("logs", "nobody"), "nobody")


@pytest.mark.parametrize("words", [[], ["--json"], ["--follow"]])
def test_logs_says_that_it_cannot_look_for_a_job_in_text(tmp_path, words):
    log = tmp_path / "text.log"
    log.write_text("2026-11-23T20:00:00.000000Z INFO  A job started type=mail\n")
    weftd = Weftd(tmp_path, "unix:///nowhere", log={"format": "text", "output": str(log)})
    done = weftd.cli("logs", "A", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{log} is text" in done.stderr and "log.format auto or json" in done.stderr and done.stderr.count("\n") == 1


def test_dead_lists_and_shows_dead_letters(redis, weftd):
    job = redis.enqueue("fail", payload="the card was refused", tenant="acme")
    redis.wait_for_state(job, "dead")
    for words in (["dead"], ["dead", "list"]):
        table = output(weftd, *words)
        assert job in table and "fail" in table and "the card was refused" in table
    shown = output(weftd, "dead", "show", job)
    assert job in shown and "acme" in shown and "the card was refused" in shown
    listed = [json.loads(line) for line in output(weftd, "dead", "list", "--json").splitlines()]
    assert job in json.dumps(listed)
    assert json.loads(output(weftd, "dead", "show", job, "--json"))["tenant"] == "acme"


def test_dead_show_of_an_unknown_job_is_not_found(weftd):
    assert_not_found(weftd.cli("dead", "show", "nobody"), "nobody")


def test_what_strangers_enqueued_cannot_reach_the_terminal_as_an_escape(redis, weftd):
    job = redis.enqueue("fail", payload="red \x1b[31m\n\x07bell", tenant="\x1b]0;title\x07")
    redis.wait_for_state(job, "dead")
    for words in (["status", job], ["logs", job], ["dead", "list"], ["dead", "show", job]):
        assert not set(output(weftd, *words)) & {"\x1b", "\x07"}, words


def test_queues_counts_the_jobs_of_each_queue(redis, weftd):
    redis.enqueue("speak", payload="later", delay="1h")
    redis.wait_for_state(redis.enqueue("fail", payload="no"), "dead")
    counts, = [json.loads(line) for line in output(weftd, "queues", "--json").splitlines()]
    assert (counts["queue"], counts["delayed"], counts["dead"]) == ("default", 1, 1)
    assert "default" in output(weftd, "queues")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_answers_help(command):
    done = run(WEFT, command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: weft {command}") or f"weft {command}" in done.stdout


def test_without_a_command_or_with_an_unknown_one_the_usage_is_shown():
    for words in ([], ["nonsense"]):
        done = run(WEFT, *words)
        assert (done.returncode, done.stdout) == (64, "")
        assert "weft --help" in done.stderr


def test_without_redis_every_command_says_so(tmp_path):
    config = tmp_path / "weftd.yaml"
    config.write_text(f"redis: {{url: unix://{tmp_path}/nobody.sock}}\n")
    for words in (["enqueue", "speak"], ["status", "x"], ["dead"]):
        done = run(WEFT, "-c", config, *words)
        assert (done.returncode, done.stdout) == (69, ""), words
        assert f"{tmp_path}/nobody.sock" in done.stderr
