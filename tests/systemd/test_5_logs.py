"""The logs: each job's lines are found by its ID, none is lost, and what the journal itself has dropped is told."""

import json
import subprocess

from machine import ENVIRONMENT, wait_for
from service import configuration, configure


def wait_for_end(machine, *jobs):
    for job in jobs:
        wait_for(lambda job=job: "job done" in machine.messages(job), f"the journal has all of job {job}")


def logs(machine, *words, **options):
    return machine.run("weft", "logs", *words, **options)


def test_a_job_s_log_is_read_from_the_journal_by_its_id(machine):
    job, other = (machine.enqueue("hello", name=name, request_id="req 1") for name in ("Ada", "Grace"))
    wait_for_end(machine, job, other)
    lines = logs(machine, job).stdout.splitlines()
    assert len(lines) == 3
    assert all(job in line for line in lines) and "Hello, Ada!" in lines[1]
    records = [json.loads(line) for line in logs(machine, job, "--json").stdout.splitlines()]
    assert [record["msg"] for record in records] == ["job started", "Hello, Ada!", "job done"]
    assert list(records[1])[:4] == ["ts", "level", "msg", "job_id"]
    assert {(record["job_id"], record["type"], record["queue"], record["attempt"]) for record in records} == {(job, "hello", "default", 1)}
    assert isinstance(records[2]["data"]["duration_ms"], float | int)


def test_the_operator_s_first_command_says_what_happened(machine):
    job = machine.enqueue("hello", name="Ada", timeout="soon")
    entry, = wait_for(lambda: machine.journal(f"JOB_ID={job}", "-p", "err"), "the journal has an error")
    assert entry["MESSAGE"].startswith(f"job dead: hello {job}: ") and "timeout" in entry["MESSAGE"]
    assert json.loads(logs(machine, job, "--json").stdout.splitlines()[-1])["msg"] == "job dead"
    assert f"job dead: hello {job}: " in machine.run("systemctl", "status", "--no-pager", "-l", "weftd").stdout


def test_logs_without_an_id_shows_all_lines(machine):
    job = machine.enqueue("hello", name="Ada")
    wait_for_end(machine, job)
    assert "weftd ready" in logs(machine).stdout
    assert len(logs(machine, "-n", "2").stdout.splitlines()) == 2
    assert job in logs(machine, "--type", "hello", "--since", "1h").stdout


def test_metadata_comes_back_from_the_journal(machine):
    configure(machine, log={"fields": ["request_id", "name"]})
    job = machine.enqueue("hello", name="Ada\\Lövelace", request_id="req \"1\"")
    wait_for_end(machine, job)
    records = [json.loads(line) for line in logs(machine, job, "--json").stdout.splitlines()]
    assert {json.dumps(record["ctx"], sort_keys=True) for record in records} == {
        json.dumps({"name": "Ada\\Lövelace", "request_id": "req \"1\""}, sort_keys=True)}


def test_the_log_of_a_job_has_the_jobs_that_it_has_started(machine):
    job = machine.enqueue("hello", name="Ada")
    wait_for_end(machine, job)
    child = machine.enqueue("hello", name="Grace", parent=job, root=job)
    wait_for_end(machine, child)
    records = [json.loads(line) for line in logs(machine, job, "--json").stdout.splitlines()]
    assert [record["job_id"] for record in records] == [job] * 3 + [child] * 3
    assert {record.get("root_id") for record in records[3:]} == {job}


def test_a_log_is_followed_while_the_job_runs(machine):
    job = machine.enqueue("nap", payload=3000)
    wait_for(lambda: "napping" in machine.messages(job), "the job naps")
    follower = subprocess.Popen(["nsenter", "--target", str(machine.pid()), "--all", *ENVIRONMENT, "weft", "logs", "-f", job],
                                stdout=subprocess.PIPE, text=True)
    try:
        seen = []
        while not seen or "job done" not in seen[-1]:
            seen.append(follower.stdout.readline())
            assert seen[-1], "the follower goes on"
    finally:
        follower.kill()
        follower.wait()
    assert "job started" in seen[0] and len(seen) == len(machine.messages(job))


def test_a_job_that_the_journal_does_not_know_is_said(machine):
    done = logs(machine, "1-1", check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert "no line about a job \"1-1\" in the journal" in done.stderr


def test_lines_that_others_have_made_up_are_cut_and_escaped(machine):
    """Of more bytes than a line of weftd's can have, in fields that it would not write so."""
    script = r"""
import socket, struct
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.connect("/run/systemd/journal/socket")
def send(**fields):
    journal.send(b"".join(name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n" for name, value in fields.items()))
own = {"SYSLOG_IDENTIFIER": b"weftd", "JOB_ID": b"forged", "PRIORITY": b"99999999999999999999"}
send(**own, MESSAGE=b"x" * 70000, JOB_TYPE=b"y" * 70000, **{f"WEFT_DATA_{i}": b"z" * 300 for i in range(200)})
send(**own, MESSAGE=b"\x1b[31m\n\xff\x00end", JOB_ATTEMPT=b"1, \"level\": 2", WEFT_DATA_=b"", WEFT_META_A=b"\x00\xff", _PID=b"1")
send(**own)
"""
    machine.run("python3", "-c", script)
    wait_for(lambda: len(logs(machine, "forged", check=False).stdout.splitlines()) == 3, "there are three lines")
    records = [json.loads(line) for line in logs(machine, "forged", "--json").stdout.splitlines()]
    assert {record["job_id"] for record in records} == {"forged"}
    assert "\x1b" not in logs(machine, "forged").stdout


def test_a_worker_that_was_started_again_has_its_lines_in_the_journal(machine):
    before = machine.worker_pids()
    machine.run("kill", "-KILL", *before)
    wait_for(lambda: len(set(machine.worker_pids()) - set(before)) == 2, "both are started again")
    wait_for_end(machine, *(machine.enqueue("hello", name="Ada") for _ in range(20)))


def test_the_output_journal_needs_no_standard_error_for_it(machine):
    machine.follow_drop_in("[Service]\nStandardError=null\n")
    machine.write("/etc/weft/weftd.yaml", configuration(log={"output": "journal"}))
    machine.run("systemctl", "restart", "weftd")
    wait_for_end(machine, machine.enqueue("hello", name="Ada"))
    machine.follow_drop_in(None)


def test_what_the_journal_has_dropped_is_told(machine):
    machine.follow_drop_in("[Service]\nLogRateLimitIntervalSec=4s\nLogRateLimitBurst=30\n")
    machine.run("systemctl", "restart", "weftd")
    job = machine.enqueue("nap", payload=100)
    wait_for_end(machine, job)
    # All at once: on a busy machine, one after the other would not be more than the journal takes.
    machine.run("redis-cli", input="XADD weft:{default} * type hello name Ada\n" * 200)
    wait_for(lambda: machine.redis("XLEN", "weft:{default}") == "0", "all jobs have ended")

    def told():
        # The journal says how many it has dropped once it takes lines again.
        machine.wait_for_state(machine.enqueue("hello", name="Ada"), "done")
        return "the journal has dropped " in logs(machine, job).stderr

    wait_for(told, "weft logs tells what is missing")
    machine.follow_drop_in(None)


# ---- Files ----

def test_logrotate_rotates_the_files_of_the_log_and_no_line_is_lost(machine):
    configure(machine, log={"output": ["auto", "/var/log/weft/weftd.log"]})
    jobs = []
    for _ in range(2):
        jobs += [machine.enqueue("nap", payload=500) for _ in range(10)]
        wait_for(lambda: "napping" in machine.messages(jobs[-1]), "jobs run")
        machine.run("logrotate", "--force", "/etc/logrotate.d/weft")
        wait_for(lambda: machine.exists("/var/log/weft/weftd.log"), "there is a new file")
    for job in jobs:
        machine.wait_for_state(job, "done")
    machine.run("systemctl", "stop", "weftd")
    text = machine.sh("cd /var/log/weft; cat weftd.log weftd.log.1; zcat weftd.log.2.gz").stdout
    ended = [line["job_id"] for line in map(json.loads, text.splitlines()) if line["msg"] == "job done"]
    assert sorted(ended) == sorted(jobs)
    machine.sh("rm /var/log/weft/weftd.log*")


def test_logrotate_minds_nothing_that_is_not_there(machine):
    assert machine.run("logrotate", "--force", "/etc/logrotate.d/weft").stderr == ""
