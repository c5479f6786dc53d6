"""The machine of the tests: booted once, with the package installed as users install it."""

import sys
from pathlib import Path

import pytest

from machine import BASE, ENVIRONMENT, PATIENCE, Machine, run, what_is_missing
from service import NEEDY, ROOT, configure


@pytest.fixture(scope="session")
def packages():
    """The packages, by their names, and an upgrade of `weft`."""
    within, source = [], ROOT
    if BASE != Path("/"):
        source = BASE / "root" / "weft"
        within = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "-D", BASE, "--chdir=/root/weft", *ENVIRONMENT]
    done = run(*within, "etc/build-packages", "--no-install", cwd=source, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    done = run(*within, "cpack", "--config", "build/package/CPackConfig.cmake", "-B", "build/package/upgrade", "-D",
               "CPACK_DEBIAN_PACKAGE_VERSION=99.0", cwd=source, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    patterns = {"weft": "weft_*.deb", "weft-dev": "weft-dev_*.deb", "upgrade": "upgrade/weft_99.0*.deb"}
    found = {name: list((source / "build" / "package").glob(pattern)) for name, pattern in patterns.items()}
    assert {name: len(paths) for name, paths in found.items()} == {"weft": 1, "weft-dev": 1, "upgrade": 1}
    return {name: path for name, (path,) in found.items()}


@pytest.fixture(scope="session")
def booted(tmp_path_factory):
    """A machine without weft."""
    missing = what_is_missing()
    if missing:
        print(f"\n**** tests/systemd IS SKIPPED: {missing} ****\n", file=sys.__stderr__)
        pytest.skip(f"no machine can be booted here: {missing}")
    machine = Machine(tmp_path_factory.mktemp("machine"))
    try:
        yield machine.start()
    finally:
        machine.stop()


@pytest.fixture(scope="session")
def install(booted, packages):
    """Installs packages by their names, as `apt install ./weft_*.deb` does."""
    def with_apt(*names):
        paths = []
        for name in names:
            paths.append(f"/var/tmp/{packages[name].name}")
            (booted.root / paths[-1].lstrip("/")).write_bytes(packages[name].read_bytes())
        return booted.run("apt-get", "install", "-y", "-q", "--allow-downgrades", *paths, timeout=2 * PATIENCE)

    return with_apt


@pytest.fixture(scope="session")
def fresh(booted, install):
    """The machine right after the installation, with the configuration as shipped."""
    install("weft")
    return booted


@pytest.fixture(scope="session")
def needy(booted):
    """A plugin of the tests' own, for weftd in the machine."""
    target = booted.root / NEEDY.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    done = run("cc", "-shared", "-fPIC", "-std=gnu17", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/context/include",
               f"-I{ROOT}/handlers/include", "-o", target, ROOT / "tests/systemd/plugin/needy.c")
    assert done.returncode == 0, done.stderr
    return NEEDY


@pytest.fixture
def machine(fresh, install, needy):
    """The machine with a weftd that has the tests' configuration and is ready, and with a Redis, whatever came before."""
    fresh.sh("systemctl is-active -q redis-server || systemctl restart redis-server")
    if not fresh.exists("/usr/sbin/weftd"):
        install("weft")
    configure(fresh)
    yield fresh
    print(fresh.sh("systemctl status weftd; journalctl -q -u weftd -o cat -n 60", check=False).stdout)
