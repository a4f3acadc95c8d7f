"""Where the time goes: perf on each of the product's processes, folded stacks and top symbols."""

import collections
import os
import re
import shutil
import signal
import subprocess

from processes import start, stop

FREQUENCY_HZ = 997
_FRAME = re.compile(r"^\s+[0-9a-f]+ (.+?)(?:\+0x[0-9a-f]+)? \((.*)\)$")


def why_not():
    """Why no profile can be taken here; empty when one can."""
    if not shutil.which("perf"):
        return "perf is not installed (Debian: linux-perf)"
    try:
        command = ["perf", "record", "-q", "-e", "cpu-clock", "-o", "/dev/null", "true"]
        probe = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if probe.returncode == 0 else "perf record is refused: " + probe.stderr.strip()[-200:]


class Recording:
    """perf record of some processes, from the constructor to stop()."""

    def __init__(self, pids, folder, stacks):
        self.path = os.path.join(folder, "perf.data")
        # cpu-clock: virtual machines often have no hardware counters.
        command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY_HZ), "-o", self.path]
        command += ["--call-graph", "dwarf,16384" if stacks == "dwarf" else "fp"]
        command += ["-p", ",".join(map(str, pids))]
        self.process = start(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                stop(self.process, 2)

    def samples(self):
        """(pid, frames from the innermost out), one for each sample."""
        text = subprocess.run(["perf", "script", "--no-inline", "-i", self.path, "-F", "pid,ip,sym,dso"], capture_output=True, text=True,
                              errors="replace", timeout=300).stdout
        pid, frames = None, []
        for line in text.splitlines() + [""]:
            if not line.strip():
                if pid is not None:
                    yield pid, frames
                pid, frames = None, []
            elif frame := _FRAME.match(line):
                frames.append((short_name(frame.group(1)), os.path.basename(frame.group(2))))
            elif line.strip().split()[0].isdigit():
                pid, frames = int(line.strip().split()[0]), []


def short_name(symbol):
    """Template arguments and parameters say little in a table and fill lines."""
    depth, kept = 0, []
    for character in symbol:
        if character in "<(":
            depth += 1
        elif character in ">)":
            depth = max(0, depth - 1)
        elif depth == 0:
            kept.append(character)
    return "".join(kept).strip() or symbol[:80]


def entry_point(frames):
    """The outermost kernel frame of a sample taken in the kernel: the system call (or interrupt) that it served."""
    for name, module in reversed(frames):
        if "kernel" in module and name.startswith(("__x64_sys_", "__se_sys_", "asm_sysvec", "asm_exc", "do_syscall", "ret_from_fork")):
            if not name.startswith("do_syscall"):
                return name.removeprefix("__x64_sys_").removeprefix("__se_sys_")
    return "other"


def summarise(samples, role_of, folded_folder):
    """By role: {samples, modules, system_calls, symbols, inclusive}, as shares of its samples. Folded stacks go to ROLE.folded."""
    folded, result = collections.defaultdict(collections.Counter), {}
    tables = collections.defaultdict(lambda: collections.defaultdict(collections.Counter))
    for pid, frames in samples:
        role = role_of.get(pid)
        if role is None or not frames:
            continue
        folded[role][";".join(name for name, _ in reversed(frames))] += 1
        name, module = frames[0]
        table = tables[role]
        table["symbols"][f"{name} [{module.strip('[]').split('.so')[0]}]"] += 1
        table["modules"][module] += 1
        # Each function of ours once a sample, wherever it stands in the stack: what it costs with all that it calls.
        table["inclusive"].update({name for name, where in frames if where == "sluice" and "sluice::" in name})
        if "kernel" in module:
            table["system_calls"][entry_point(frames)] += 1
    for role, table in tables.items():
        with open(os.path.join(folded_folder, f"{role}.folded"), "w", encoding="utf-8") as file:
            for stack, count in folded[role].most_common():
                file.write(f"{stack} {count}\n")
        total = sum(table["modules"].values())

        def shares(counter, limit, total=total):
            return {key: round(count / total, 4) for key, count in counter.most_common(limit)}

        result[role] = {
            "samples": total,
            "modules": shares(table["modules"], 8),
            "system_calls": shares(table["system_calls"], 8),
            "symbols": shares(table["symbols"], 25),
            "inclusive": shares(table["inclusive"], 40),
        }
    return result


def print_summary(result):
    for role, found in sorted(result.items(), key=lambda item: -item[1]["samples"]):
        print(f"\n{role}: {found['samples']} samples of {1000 / FREQUENCY_HZ:.1f} ms")
        for title in ("modules", "system_calls", "symbols", "inclusive"):
            print(f"  {title.replace('_', ' ')}:")
            for name, share in found[title].items():
                print(f"    {share * 100:5.1f} %  {name[:110]}")
