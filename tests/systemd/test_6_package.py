"""The package's life: an upgrade while jobs run, removal, and purge."""

import os
import threading

from machine import BASE, wait_for
from service import configuration


class Producer:
    """Enqueues jobs from outside until it is stopped."""

    def __init__(self, machine):
        self.machine = machine
        self.jobs = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.work)

    def work(self):
        while not self.stopped.wait(0.02):
            self.jobs.append(self.machine.enqueue("nap", payload=300))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.stopped.set()
        self.thread.join()


def states_of(machine, jobs):
    script = "\n".join(f"HMGET weft:{{default}}:job:{job} state attempt" for job in jobs) + "\n"
    words = machine.run("redis-cli", input=script).stdout.split()
    return list(zip(words[::2], words[1::2]))


def test_an_upgrade_under_load_loses_no_job_and_keeps_the_configuration(machine, install):
    kept, before = machine.sh("cat /etc/weft/weftd.yaml").stdout, machine.main_pid()
    with Producer(machine) as producer:
        wait_for(lambda: len(producer.jobs) > 20, "jobs flow")
        install("upgrade")
        behind = len(producer.jobs)
        wait_for(lambda: len(producer.jobs) > behind + 20, "jobs flow")
    assert machine.run("dpkg-query", "-W", "-f", "${Version}", "weft").stdout.startswith("99.0")
    assert machine.main_pid() != before
    wait_for(lambda: set(states_of(machine, producer.jobs)) == {("done", "1")}, "all jobs are done, none was charged")
    assert [machine.messages(job).count("awake") for job in producer.jobs[:40]] == [1] * 40
    assert machine.sh("cat /etc/weft/weftd.yaml").stdout == kept


def test_an_upgrade_restarts_instances_and_leaves_a_stopped_service_stopped(machine, install):
    machine.write("/etc/weft/web.yaml", configuration(workers=1, queues=[{"name": "web"}]))
    machine.run("systemctl", "start", "weftd@web")
    machine.sh("systemctl disable --now -q weftd")
    before = machine.main_pid("weftd@web")
    said = install("weft")
    assert "weftd@*" not in said.stdout + said.stderr
    assert machine.property("ActiveState") == "inactive"
    assert machine.property("UnitFileState") == "disabled"
    assert machine.property("ActiveState", "weftd@web") == "active"
    assert machine.main_pid("weftd@web") != before
    machine.sh("systemctl stop weftd@web; systemctl enable --now -q weftd")


def test_a_removal_stops_it_and_keeps_configuration_and_state(machine, install):
    machine.sh("systemctl stop weftd; systemctl enable --now -q weftd.socket; systemctl start weftd")
    machine.sh("touch /var/lib/weft/kept")
    configured = machine.sh("cat /etc/weft/weftd.yaml").stdout
    machine.run("apt-get", "remove", "-y", "-q", "weft")
    assert machine.property("ActiveState") == "inactive"
    assert machine.property("ActiveState", "weftd.socket") == "inactive"
    assert machine.run("pgrep", "-u", "weft", check=False).stdout == ""
    assert not machine.exists("/usr/sbin/weftd")
    waiting = machine.enqueue("hello", name="Ada")
    install("weft")
    assert machine.sh("cat /etc/weft/weftd.yaml").stdout == configured
    assert machine.exists("/var/lib/weft/kept")
    machine.wait_for_state(waiting, "done")


def test_a_purge_leaves_nothing(machine, install):
    # What earlier tests put there is no part of the package.
    machine.sh("rm -rf /etc/weft/web.yaml /etc/weft/own.yaml /root/plugin /usr/local/lib/weft")
    machine.sh("systemctl enable -q weftd.socket weftd@web")
    machine.run("apt-get", "purge", "-y", "-q", "weft")
    assert machine.sh("find /etc/systemd -xtype l -name 'weftd*'").stdout == ""
    found = machine.sh("find / -xdev -ipath '*weft*' -not -path '/tmp/*' -not -path '/var/tmp/*' -not -path '/var/cache/*' "
                       "-not -path '/var/lib/apt/*' -not -path '/etc/systemd/system/weftd*.d*'", check=False).stdout
    # The machine lies over this system, which may have weft's checkout, and more, anywhere.
    assert [path for path in found.splitlines() if not os.path.lexists(BASE / path.lstrip("/"))] == []
    assert machine.run("systemctl", "list-unit-files", "--no-legend", "weftd*", check=False).stdout == ""
    assert machine.property("ActiveState") == "inactive"
