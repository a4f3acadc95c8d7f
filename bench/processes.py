"""Starting programs so that they end with the bench, and reading a process tree's CPU and memory from /proc."""

import ctypes
import os
import signal
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class BenchError(Exception):
    """What went wrong, in a sentence for the person who started the bench."""


def _die_with_parent():
    # SIGTERM, so that `sluice up` still stops its children in order when the bench itself was killed.
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _environment():
    # Unknown SLUICE_* variables are errors to the product, and known ones would change what is measured.
    return {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}


def start(command, **options):
    """A child in a session of its own (Ctrl-C reaches the bench alone, which then ends things in order)."""
    return subprocess.Popen(command, start_new_session=True, preexec_fn=_die_with_parent, env=_environment(), **options)


def stop(process, grace_s=10):
    """SIGTERM, then SIGKILL. True if SIGTERM was enough."""
    if process is None or process.poll() is not None:
        return True
    process.terminate()
    try:
        process.wait(grace_s)
        return True
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
        return False


def run(command, timeout_s, **options):
    """The standard output of a program that must end well within its time."""
    process = start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    try:
        output, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as late:
        raise BenchError(f"{os.path.basename(command[0])} did not end within {timeout_s} s") from late
    finally:
        stop(process, 2)
    if process.returncode != 0:
        raise BenchError(f"{os.path.basename(command[0])} exited with {process.returncode}: {(errors or output).strip()[-500:]}")
    return output


def wait_for(condition, timeout_s, what, step_s=0.05):
    """Polls until the condition's value is true, and returns it."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise BenchError(f"waited {timeout_s:g} s for {what}")
        time.sleep(step_s)


def _stat(pid):
    """(name, parent, CPU seconds with reaped children, start time), or None when it is gone or only waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    cpu = sum(int(fields[i]) for i in (11, 12, 13, 14)) / TICKS
    return name, int(fields[1]), cpu, int(fields[19])


def _arguments(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return [word.decode(errors="replace") for word in file.read().split(b"\0") if word]
    except OSError:
        return []


def descendants(root):
    """Process ids of root and all below it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            known = _stat(entry)
            if known:
                children.setdefault(known[1], []).append(int(entry))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue.extend(children.get(pid, []))
    return found


def _role(pid):
    words = _arguments(pid)
    if not words:
        return None
    try:
        program = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:  # another user's, or undumpable
        program = os.path.basename(words[0])
    if program == "sluice":
        return next((word for word in words[1:] if not word.startswith("-")), "sluice")
    return program


def _memory_mb(pid):
    """(RSS, PSS); PSS counts a shared page once over all who share it."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file.read().splitlines()[1:])
        return int(lines["Rss"].split()[0]) / 1024, int(lines["Pss"].split()[0]) / 1024
    except (OSError, KeyError, ValueError):
        return 0.0, 0.0


class Snapshot:
    """The product's processes at one instant: `sluice up` and what descends from it, without the functions' own processes."""

    def __init__(self, root, excluded_programs=()):
        self.at = time.monotonic()
        self.cpu_s, self.role = {}, {}
        for pid in descendants(root):
            role, known = _role(pid), _stat(pid)
            if role and known and role not in excluded_programs:
                self.role[pid], self.cpu_s[pid] = role, known[2]

    def cpu_since(self, before):
        """CPU seconds by role. A process that came or went in between would falsify the sum: an error."""
        if set(self.cpu_s) != set(before.cpu_s):
            gone = [before.role[pid] for pid in before.cpu_s if pid not in self.cpu_s]
            new = [self.role[pid] for pid in self.cpu_s if pid not in before.cpu_s]
            raise BenchError(f"processes changed in mid-run: gone {gone or 'none'}, new {new or 'none'}")
        by_role = {}
        for pid, cpu in self.cpu_s.items():
            by_role[self.role[pid]] = by_role.get(self.role[pid], 0.0) + cpu - before.cpu_s[pid]
        return by_role

    def memory_mb(self):
        """RSS by role, and the sum of PSS."""
        rss, pss = {}, 0.0
        for pid, role in self.role.items():
            one = _memory_mb(pid)
            rss[role] = rss.get(role, 0.0) + one[0]
            pss += one[1]
        return rss, pss


def identities(pids):
    """Pids with their start times, so that a pid used again is not taken for the process it was."""
    return {pid: known[3] for pid in pids if (known := _stat(pid))}


def kill_left(known, grace_s=3):
    """SIGKILL to those that still run after the grace; returns their names."""

    def running():
        return {pid: now[0] for pid, started in known.items() if (now := _stat(pid)) and now[3] == started}

    end = time.monotonic() + grace_s
    while running() and time.monotonic() < end:
        time.sleep(0.05)
    left = running()
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    return [f"{name}[{pid}]" for pid, name in left.items()]
