"""What jobs can do inside the service, what they cannot, and that weftd(8) names the setting that lets them."""

import pytest

from machine import wait_for
from service import ROOT


def outcome(machine, job_type, payload):
    """The state of such a job, and its lines."""
    job = machine.enqueue(job_type, payload=payload, attempts=1)
    state = machine.wait_for_state(job, "done", "dead")["state"]
    wait_for(lambda: f"job {state}" in machine.messages(job), "the journal has the whole job")
    return state, machine.messages(job)


@pytest.fixture
def drop_in(machine):
    """Restarts weftd with further settings."""
    def follow(text):
        machine.follow_drop_in(f"[Service]\n{text}\n")
        machine.run("systemctl", "restart", "weftd")

    yield follow
    machine.follow_drop_in(None)
    machine.run("systemctl", "restart", "weftd")


def test_child_processes_of_jobs_work(machine):
    script = "echo from a child | tr a-z A-Z; id -un; getent hosts localhost >/dev/null && echo resolved; python3 -c 'print(6 * 7)'"
    state, lines = outcome(machine, "shell", script)
    assert state == "done"
    assert lines[1:-1] == ["FROM A CHILD", "weft", "resolved", "42"]


def test_jobs_can_write_where_the_service_keeps_its_state_and_to_tmp(machine):
    for path in ("note", "/var/lib/weft/note", "/var/log/weft/note", "/run/weft/note", "/tmp/weft-note"):
        assert outcome(machine, "touch", path)[0] == "done", path
    assert not machine.exists("/tmp/weft-note"), "its own /tmp"


def test_jobs_see_neither_homes_nor_other_users_processes(machine):
    state, lines = outcome(machine, "shell", "ls /root /home 2>&1; ls -d /proc/1 2>&1 | sed 's/.*: //'; grep CapBnd /proc/self/status; true")
    assert state == "done"
    assert [line for line in lines if "Permission denied" in line] and "No such file or directory" in lines
    assert "CapBnd:\t0000000000000000" in lines


# What a handler may need, by the setting that weftd(8) names for it, and a job that needs it.
NEEDS = [
    ("ReadWritePaths=/srv/pictures", "touch", "/srv/pictures/note"),
    ("ProtectHome=read-only", "shell", "ls -d /home/ada/note"),
    ("PrivateTmp=no", "shell", "ls /tmp/shared"),
    ("SupplementaryGroups=redis", "shell", "cat /srv/secret"),
    ("MemoryDenyWriteExecute=no", "compile", ""),
    ("SystemCallFilter=@resources", "shell", "nice -n 5 true 2>&1 | grep . && exit 1; exit 0"),
    ("SystemCallFilter=@chown", "shell", "touch mine && chown :weft mine"),
    ("RestrictNamespaces=no", "shell", "unshare --user true"),
]


@pytest.fixture
def belongings(machine):
    """What is there to be needed."""
    machine.sh("""
        install -d -o weft /srv/pictures; install -d -m 755 /home/ada; touch /home/ada/note; touch /tmp/shared
        install -m 640 -g redis /etc/hostname /srv/secret
    """)


@pytest.mark.parametrize("setting, job_type, payload", NEEDS, ids=[setting for setting, _, _ in NEEDS])
def test_what_a_handler_needs_beyond_is_a_drop_in(machine, belongings, drop_in, setting, job_type, payload):
    assert outcome(machine, job_type, payload)[0] == "dead"
    drop_in(setting)
    assert outcome(machine, job_type, payload)[0] == "done"
    page = (ROOT / "docs/man/weftd.8").read_text().replace("\\-", "-")
    assert f".B {setting}\n" in page, "weftd(8) names it"
