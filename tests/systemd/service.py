"""How the tests configure the weftd in the machine."""

import json
from pathlib import Path

from machine import wait_for

ROOT = Path(__file__).resolve().parents[2]
NEEDY = "/usr/local/lib/weft/needy.so"


def configuration(**settings):
    """The tests' configuration with some settings replaced. YAML takes JSON."""
    handlers = ["hello", "nap", "shell", "touch", "compile"]
    return json.dumps({
        "workers": 2,
        "lease": "4s",
        "shutdown_timeout": "10s",
        "plugins": ["/usr/lib/weft/examples.so", NEEDY],
        "jobs": {name: {"chain": [name]} for name in handlers},
    } | settings, indent=1) + "\n"


def configure(machine, **settings):
    """Has weftd start anew with a configuration."""
    machine.write("/etc/weft/weftd.yaml", configuration(**settings))
    machine.run("systemctl", "restart", "weftd")
    wait_for(lambda: len(machine.worker_pids()) == 2, "weftd has its workers")
