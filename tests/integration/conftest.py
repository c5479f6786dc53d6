"""Fixtures: a private Redis, weftds on it, and plugins compiled for the test."""

import pytest

from weft import BUILD, ROOT, Redis, Weftd, run


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own
def pytest_collection_modifyitems(items):
    """Those that take longest begin first, so that none of them is what all wait for at the end. One installs at a time."""
    for item in items:
        if "installed" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group("installed"))
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture
def redis(tmp_path):
    server = Redis(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture
def start_weftd(request, tmp_path):
    """Starts a weftd with some settings replaced. What the test leaves running must stop cleanly."""
    started = []

    def start(url=None, launch_only=False, **settings):
        folder = tmp_path / f"weftd-{len(started)}"
        folder.mkdir()
        started.append(Weftd(folder, url or request.getfixturevalue("redis").url, **settings))
        if launch_only:
            started[-1].launch()
            return started[-1]
        return started[-1].start()

    yield start
    codes = [weftd.stop() for weftd in started if weftd.running()]
    for weftd in started:
        print(weftd.stderr.read_text())
        print("".join(weftd.log.read_text().splitlines(True)[-100:]) if weftd.log.exists() else "no log")
    for weftd in started:
        weftd.assert_clean()
    assert [code for code in codes if code != 0] == []


@pytest.fixture
def installed(tmp_path):
    """A folder with weft installed into it."""
    prefix = tmp_path / "prefix"
    done = run("cmake", "--install", BUILD, "--prefix", prefix)
    assert done.returncode == 0, done.stderr
    return prefix


@pytest.fixture
def compile_plugin(tmp_path):
    """Compiles C source against the headers of the tree and gives the plugin's path."""
    def build(name, source, *flags):
        (tmp_path / f"{name}.c").write_text(source)
        done = run("cc", "-shared", "-fPIC", "-std=gnu17", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/context/include",
                   f"-I{ROOT}/handlers/include", "-o", tmp_path / f"{name}.so", tmp_path / f"{name}.c", *flags)
        assert done.returncode == 0, done.stderr
        return tmp_path / f"{name}.so"

    return build


@pytest.fixture
def probe(compile_plugin):
    """Settings for a weftd that runs the handlers of plugins/probe.c, each as the job type of its name."""
    source = (ROOT / "tests" / "integration" / "plugins" / "probe.c").read_text()
    names = ["nap", "speak", "fail", "fail_once", "retry_once", "error", "report"]
    return {"plugins": [str(compile_plugin("probe", source))], "jobs": {name: {"chain": [name]} for name in names},
            "defaults": {"attempts": 3, "backoff": {"base": "10ms", "max": "20ms", "jitter": 0}}}


@pytest.fixture
def walker(compile_plugin):
    """Settings for a weftd that runs the handlers of plugins/walk.c, which note what runs, each as the type of its name."""
    source = (ROOT / "tests" / "integration" / "plugins" / "walk.c").read_text()
    names = ["plain", "result", "retry_once", "fail", "crash_once", "hold", "nap"]
    return {"plugins": [str(compile_plugin("walk", source))], "jobs": {name: {"chain": [name]} for name in names},
            "defaults": {"attempts": 3, "backoff": {"base": "10ms", "max": "20ms", "jitter": 0}}}
