"""The package as it comes: what a user sees who installs it and does nothing else."""

import re
import shutil

import pytest

from machine import run, wait_for
from service import ROOT


def test_the_first_job_runs_as_the_readme_says(fresh):
    job = fresh.redis("XADD", "weft:{default}", "*", "type", "hello", "name", "Ada")
    fresh.wait_for_state(job, "done")
    wait_for(lambda: "job done" in fresh.messages(job), "the journal has the whole job")
    assert fresh.messages(job) == ["job started", "Hello, Ada!", "job done"]


def test_the_service_is_enabled_and_runs_as_its_own_user(fresh):
    assert fresh.run("systemctl", "is-enabled", "weftd").stdout == "enabled\n"
    assert fresh.property("ActiveState") == "active"
    assert fresh.run("ps", "-o", "user=", "-p", fresh.main_pid()).stdout.strip() == "weft"


def test_the_shipped_configuration_is_right(fresh):
    assert fresh.run("weftd", "--check").stdout == "/etc/weft/weftd.yaml: ok\n"


def test_the_folders_of_the_service_are_its_users_and_nobody_elses(fresh):
    said = fresh.run("stat", "-c", "%n %U %a", "/etc/weft", "/var/lib/weft", "/var/log/weft", "/run/weft").stdout
    assert said == "/etc/weft root 755\n/var/lib/weft weft 750\n/var/log/weft weft 750\n/run/weft weft 755\n"


def test_the_units_are_in_order(fresh):
    said = fresh.run("systemd-analyze", "verify", "weftd.service", "weftd@web.service", "weftd.socket", check=False)
    assert [line for line in said.stderr.splitlines() if "weft" in line] == []


def test_the_sandbox_is_tight(fresh):
    for unit in ("weftd.service", "weftd@web.service"):
        said = fresh.run("systemd-analyze", "security", "--no-pager", unit).stdout
        exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)[1])
        assert exposure <= 1.5, said


@pytest.mark.skipif(not shutil.which("lintian"), reason="there is no lintian here")
def test_lintian_finds_no_error(packages):
    said = run("lintian", "--fail-on", "error", "--tag-display-limit", "0", packages["weft"], packages["weft-dev"])
    assert said.returncode == 0, said.stdout
    assert re.findall(r"^[EW]: .*", said.stdout, re.MULTILINE) == [
        f"W: {name}: initial-upload-closes-no-bugs [usr/share/doc/{name}/changelog.Debian.gz:1]" for name in ("weft", "weft-dev")]


def test_the_manual_is_there(fresh):
    for page in ("weft.1", "weft.yaml.5", "weftd.8"):
        assert fresh.exists(f"/usr/share/man/man{page[-1]}/{page}.gz")


# ---- Completion ----

def complete(machine, line):
    """What bash offers at the end of the line."""
    script = f"""
        source /usr/share/bash-completion/bash_completion
        COMP_LINE={line!r} COMP_POINT={len(line)}
        words=({line.rstrip()})
        COMP_WORDS=("${{words[@]}}"); [[ $COMP_LINE != *' ' ]] || COMP_WORDS+=('')
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) COMP_TYPE=9
        __load_completion "${{COMP_WORDS[0]}}"
        "$(complete -p "${{COMP_WORDS[0]}}" | sed -E 's/.*-F ([^ ]+).*/\\1/')"
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return machine.run("bash", "-c", script, check=False).stdout.split()


def test_bash_completes_commands_options_types_and_queues(fresh):
    assert {"enqueue", "logs", "status", "ps", "dead"} <= set(complete(fresh, "weft "))
    assert complete(fresh, "weft que") == ["queues"]
    assert complete(fresh, "weft dead sh") == ["show"]
    assert complete(fresh, "weft enqueue --de") == ["--delay"]
    assert complete(fresh, "weft enqueue ") == ["hello"]
    assert complete(fresh, "weft enqueue -q ") == ["default"]
    assert complete(fresh, "weft logs --si") == ["--since"]
    assert complete(fresh, "weft logs --level w") == ["warn"]
    assert complete(fresh, "weft logs --type ") == ["hello"]
    assert complete(fresh, "weft logs --level warn --fo") == ["--follow"]
    assert complete(fresh, "weft -c /etc/weft/we") == ["/etc/weft/weftd.yaml"]
    assert complete(fresh, "weftd --ch") == ["--check"]


# ---- weft-dev ----

def test_the_example_plugin_builds_on_its_own_and_runs(fresh, install):
    install("weft-dev")
    fresh.sh("cp -r /usr/share/doc/weft-dev/examples/plugin /root/plugin")
    assert fresh.sh("cd /root/plugin && make && make check").stdout.endswith("weftd.yaml: ok\n")
    fresh.sh("cd /root/plugin && rm greeting.so && cmake -B build . && cmake --build build && cp build/greeting.so . && make check")


def test_a_program_finds_the_context_library(fresh, install):
    install("weft-dev")
    (fresh.root / "root/example.c").write_text((ROOT / "tests/standalone/example.c").read_text())
    fresh.sh("cc -o /root/by-pkg-config /root/example.c $(pkg-config --cflags --libs weft-context)")
    fresh.write("/root/cmake/CMakeLists.txt", """
        cmake_minimum_required(VERSION 3.16)
        project(example LANGUAGES C)
        find_package(weft REQUIRED)
        add_executable(example ../example.c)
        target_link_libraries(example PRIVATE weft::context)
    """)
    fresh.sh("cd /root/cmake && cmake -B build . && cmake --build build")
