"""What a figure depends on beside the code: machine, load, commit, versions."""

import os
import platform
import re
import subprocess
from datetime import datetime, timezone

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=ROOT)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).strip()


def _cpu_model():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        found = re.search(r"^model name\s*:\s*(.+)$", file.read(), re.MULTILINE)
    return found.group(1) if found else platform.machine()


def _memory_mb():
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(re.search(r"MemTotal:\s*(\d+)", file.read()).group(1)) // 1024


def machine():
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": _memory_mb(),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def filesystem(folder):
    """Type of the file system under the store: figures from tmpfs say nothing about a disk."""
    return _output("stat", "-f", "-c", "%T", folder)


def commit():
    return {
        "commit": _output("git", "rev-parse", "HEAD") or "unknown",
        "dirty": bool(_output("git", "status", "--porcelain", "--untracked-files=no")),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def versions():
    def last_word(text):
        return text.split()[-1] if text else "absent"

    return {
        "nats-server": last_word(_output("nats-server", "--version")),
        "nginx": last_word(_output("nginx", "-v")).removeprefix("nginx/"),
        "wrk": (_output("wrk", "-v").split() + ["absent", "absent"])[1],
    }
