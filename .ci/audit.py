"""Looks up known faults of installed packages: `audit.py SERVICE FOLDER`, for pip-audit's Python.

Exit code 1: a package has a fault. What cannot be looked up is no failure, but is said.
"""

from __future__ import annotations

import subprocess
import sys

import requests

FAULTY = {"package": {"name": "jinja2", "ecosystem": "PyPI"}, "version": "2.4.1"}
"""An old version whose faults the service must know: silence would look like good news."""


def main(service: str, folder: str) -> int:
    if not _knows_faults(service):
        print(
            f"{service} could not be reached: known faults of the dependencies were not looked up."
        )
        return 0
    options = ["--progress-spinner", "off", "--skip-editable", "--path", folder]
    command = [sys.executable, "-m", "pip_audit", *options, "-s", "osv", "--osv-url", service]
    return subprocess.run(command, check=False).returncode


def _knows_faults(service: str) -> bool:
    try:
        reply = requests.post(service, json=FAULTY, timeout=10)
        reply.raise_for_status()
        return bool(reply.json().get("vulns"))
    except requests.RequestException:
        return False


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
