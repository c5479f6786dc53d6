"""A machine of its own: systemd as PID 1 of a container, on an overlay of this system's root, with no network but its own
loopback. What is done in it is gone with it. WEFT_MACHINE_BASE is the root of another system to lay it over, which has weft's
source in /root/weft."""

import json
import os
import shlex
import signal
import subprocess
import time
import uuid
from pathlib import Path

BASE = Path(os.environ.get("WEFT_MACHINE_BASE", "/"))
PATIENCE = 120  # seconds: only what hangs runs into it
ENVIRONMENT = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]

# What this system may have of its own and the machine is not to know: other services, other weftds, who may start what.
FORGOTTEN = ["etc/machine-id", "etc/systemd/system", "etc/weft", "etc/credstore", "var/lib/weft", "var/log/weft", "var/log/journal",
             "var/lib/redis", "usr/sbin/policy-rc.d",
             "usr/local/lib/systemd", "usr/local/lib/sysusers.d"]


def wait_for(predicate, what, timeout=PATIENCE):
    """Polls until `predicate()` gives something true, and gives that."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout} s in vain: {what}"
        time.sleep(0.1)


def run(*command, timeout=PATIENCE, **options):
    """Runs a command on this system."""
    options = {"stdin": subprocess.DEVNULL} | options if "input" not in options else options
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout, **options)


def what_is_missing():
    """Why there can be no machine here, in words; None: there can."""
    if os.geteuid() != 0:
        return "it takes root"
    tried = run("unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "true")
    if tried.returncode != 0:
        return f"namespaces are not to be had: {tried.stderr.strip()}"
    tried = run("unshare", "--mount", "mount", "-t", "tmpfs", "weft-test", "/mnt")
    return None if tried.returncode == 0 else f"nothing can be mounted: {tried.stderr.strip()}"


class Machine:
    def __init__(self, folder):
        self.folder = folder
        self.root = folder / "root"
        self.console = folder / "console"
        self.nspawn = None
        self.mounted = False  # `folder` is a file system of its own

    # ---- The machine itself ----

    def start(self):
        """Lays the overlay and boots."""
        self.folder.mkdir(exist_ok=True)
        # What changes cannot lie on an overlay, as the root of most containers is; memory can take it.
        if run("stat", "--file-system", "--format=%T", self.folder).stdout.strip() == "overlayfs":
            done = run("mount", "-t", "tmpfs", "weft-test-machine", self.folder)
            assert done.returncode == 0, done.stderr
            self.mounted = True
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True)
        layers = f"lowerdir={BASE},upperdir={self.folder}/upper,workdir={self.folder}/work"
        done = run("mount", "-t", "overlay", "overlay", "-o", layers, self.root)
        assert done.returncode == 0, done.stderr
        for name in FORGOTTEN:
            run("rm", "-rf", self.root / name)
        # With an ID it is no first boot, at which systemd would enable all that is installed.
        (self.root / "etc" / "machine-id").write_text(uuid.uuid4().hex + "\n")
        for name in ("etc/systemd/system/multi-user.target.wants", "var/log/journal", "var/lib/redis"):
            (self.root / name).mkdir(parents=True)
        os.symlink("/lib/systemd/system/redis-server.service",
                   self.root / "etc/systemd/system/multi-user.target.wants/redis-server.service")
        run("chroot", self.root, "chown", "redis:redis", "/var/lib/redis")
        self.boot()
        return self

    def boot(self):
        with open(self.console, "ab") as console:
            self.nspawn = subprocess.Popen(
                ["systemd-nspawn", "--register=no", "--keep-unit", "--private-network", "--quiet", "-D", self.root, "-b"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        wait_for(self.is_up, f"the machine boots; see {self.console}")

    def is_up(self):
        assert self.nspawn.poll() is None, f"the machine has ended:\n{self.console.read_text(errors='replace')}"
        return self.pid() and self.sh("systemctl is-active redis-server", check=False).stdout == "active\n"

    def pid(self):
        """Of its systemd, as this system numbers it."""
        children = Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def reboot(self):
        self.sh("systemctl reboot", check=False)
        self.nspawn.wait(PATIENCE)
        self.boot()

    def stop(self):
        """Its PID 1 takes everything else with it."""
        if self.nspawn and self.nspawn.poll() is None:
            os.kill(self.pid() or self.nspawn.pid, signal.SIGKILL)
            self.nspawn.wait(PATIENCE)
        run("umount", "--lazy", self.root)
        if self.mounted:
            run("umount", "--lazy", self.folder)

    # ---- Inside ----

    def run(self, *command, check=True, **options):
        """Runs a command in it as root."""
        done = run("nsenter", "--target", self.pid(), "--all", *ENVIRONMENT, *command, **options)
        assert not check or done.returncode == 0, f"{shlex.join(map(str, command))}: {done.stdout}{done.stderr}"
        return done

    def sh(self, script, **options):
        return self.run("sh", "-c", script, **options)

    def write(self, path, text, mode=0o644):
        """Writes a file as a careful administrator does: it is never half there."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(target.name + ".new")
        new.write_text(text)
        new.chmod(mode)
        new.rename(target)

    def exists(self, path):
        return os.path.lexists(self.root / path.lstrip("/"))

    def property(self, name, unit="weftd"):
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def main_pid(self, unit="weftd"):
        return int(self.property("MainPID", unit))

    def worker_pids(self, unit="weftd"):
        """As it numbers them itself."""
        found = self.run("pgrep", "-P", self.main_pid(unit), "weftd", check=False).stdout.split()
        return [int(pid) for pid in found]

    def follow_drop_in(self, text, unit="weftd.service"):
        """Sets the administrator's own settings for a unit, or takes them back with None; the unit is not restarted."""
        path = f"/etc/systemd/system/{unit}.d/test.conf"
        if text is None:
            self.sh(f"rm -f '{path}'")
        else:
            self.write(path, text)
        self.run("systemctl", "daemon-reload")

    # ---- Redis ----

    def redis(self, *words):
        """What redis-cli prints."""
        return self.run("redis-cli", *words).stdout.strip()

    def enqueue(self, job_type, queue="default", **fields):
        words = [str(word) for pair in fields.items() for word in pair]
        return self.redis("XADD", f"weft:{{{queue}}}", "*", "type", job_type, *words)

    def report(self, job, queue="default"):
        words = self.redis("HGETALL", f"weft:{{{queue}}}:job:{job}").splitlines()
        return dict(zip(words[::2], words[1::2]))

    def wait_for_state(self, job, *states, queue="default"):
        wait_for(lambda: self.report(job, queue).get("state") in states, f"job {job} is {' or '.join(states)}")
        return self.report(job, queue)

    # ---- The journal ----

    def journal(self, *words, unit="weftd"):
        """The entries of the unit that match, as dicts."""
        done = self.run("journalctl", "-q", "-u", unit, "-o", "json", "--all", *words)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def messages(self, job, unit="weftd"):
        return [entry.get("WEFT_MESSAGE", entry["MESSAGE"]) for entry in self.journal(f"JOB_ID={job}", unit=unit)]

    def cursor(self):
        """A point of the journal, for `since`."""
        return self.run("journalctl", "-q", "-n", "0", "--show-cursor").stdout.strip().removeprefix("-- cursor: ")

    def said(self, words, since, unit="weftd"):
        return [entry for entry in self.journal(f"--after-cursor={since}", unit=unit) if words in entry["MESSAGE"]]

    def wait_for_words(self, words, since, unit="weftd"):
        return wait_for(lambda: self.said(words, since, unit), f"the journal says {words!r}")
