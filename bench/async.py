#!/usr/bin/env python3
"""./x bench async: throughput, latency, memory and CPU of asynchronous calls, beside the limit of the machine.

What each figure means, and how to read it: docs/benchmarks.md.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import time

import machine
import perf_profile
import processes
import product
from limit import Nginx, free_port, wrk
from processes import BenchError, wait_for

MEASURES = ("rss", "limit", "accept", "e2e", "callback", "watchdog", "idle")
KEYS = ("limit_rps limit_c1_p50_ms limit_c1_p99_ms accept_rps e2e_rps e2e_callback_rps watchdog_rps idle_start_p50_ms idle_start_p99_ms "
        "rss_idle_mb cpu_us_per_call_callback").split()
RATIOS = {  # name: (ours, the limit's)
    "accept_ratio": ("accept_rps", "limit_rps"),
    "e2e_ratio": ("e2e_rps", "limit_rps"),
    "e2e_callback_ratio": ("e2e_callback_rps", "limit_rps"),
    "watchdog_ratio": ("watchdog_rps", "limit_rps"),
    "idle_start_p50_ratio": ("idle_start_p50_ms", "limit_c1_p50_ms"),
    "idle_start_p99_ratio": ("idle_start_p99_ms", "limit_c1_p99_ms"),
    "idle_start_p50_paced_ratio": ("idle_start_p50_ms", "limit_paced_p50_ms"),
    "idle_start_p99_paced_ratio": ("idle_start_p99_ms", "limit_paced_p99_ms"),
}
BODY_BYTES = 256
QUIET_LOAD = 0.5  # load average below which nothing else is taken to run
WATCHDOG_FUNCTION = "bench-watchdog"


def parse_arguments():
    root = machine.ROOT
    parser = argparse.ArgumentParser(prog="x bench async", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    parser.add_argument("--runs", type=int, default=3, help="rounds; each figure is the median (3)")
    parser.add_argument("--seconds", type=int, default=5, help="length of each wrk run (5)")
    parser.add_argument("--calls", type=int, default=20000, help="calls of each end-to-end run (20000)")
    parser.add_argument("--connections", type=int, default=256, help="clients' connections, ours and the limit's (256)")
    parser.add_argument("--idle-calls", type=int, default=2000, help="calls of each idle run, one each 20 ms (2000)")
    parser.add_argument("--max-inflight", type=int, default=256, help="what the functions declare (256)")
    parser.add_argument("--only", default=",".join(MEASURES), help="comma list of " + ", ".join(MEASURES))
    parser.add_argument("--deadline", type=int, default=120, help="seconds that one run may take (120)")
    parser.add_argument("--profile", metavar="FOLDER", help="one more run under perf; folded stacks are written there")
    parser.add_argument("--profile-of", choices=MEASURES[2:], default="callback", help="which (callback)")
    parser.add_argument("--profile-stacks", choices=("fp", "dwarf"), default="dwarf", help="how stacks are unwound (dwarf)")
    parser.add_argument("--binary", default=os.path.join(root, "build/release/sluice"))
    parser.add_argument("--tools", help="folder of bench_load and bench_responder (bench/ beside the binary)")
    parser.add_argument("--up-option", action="append", default=[], metavar="'--KEY VALUE'", help="passed on to sluice up")
    parser.add_argument("--folder", default="/var/tmp", help="where the temporary state is made; a real disk (/var/tmp)")
    parser.add_argument("--keep", action="store_true", help="do not remove the temporary state")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = set(options.only) - set(MEASURES)
    if unknown:
        parser.error("--only: unknown " + ", ".join(sorted(unknown)))
    options.tools = options.tools or os.path.join(os.path.dirname(os.path.abspath(options.binary)), "bench")
    return options


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.run_number = 0
        self.started = []  # what to stop, in order of starting
        self.function = self.receiver = self.nginx = self.sluice = None
        self.watchdog_control = 0
        self.static_pids = []

    # Life cycle

    def start(self):
        tool = os.path.join(self.options.tools, "bench_responder")
        for needed in (tool, self.load_program(), self.options.binary):
            if not os.access(needed, os.X_OK):
                raise BenchError(f"{needed} is missing: build it first")
        for needed in ("nginx", "wrk", "nats-server"):
            if not shutil.which(needed):
                raise BenchError(f"{needed} is not installed")
        self.function = self.keep(product.Responder(tool, "function"))
        self.receiver = self.keep(product.Responder(tool, "receiver"))
        self.nginx = self.keep(Nginx(self.folder))
        self.sluice = self.keep(product.Sluice(self.options.binary, self.folder, self.function.port, self.options))
        self.nginx.wait_ready()
        self.sluice.wait_ready()

    def keep(self, thing):
        self.started.append(thing)
        return thing

    def stop(self):
        """Ends everything, also after errors; what did not end in order, in words."""
        said = []
        for thing in reversed(self.started):
            try:
                said.append(thing.stop())
            except Exception as error:  # the others must still be ended
                said.append(f"{type(thing).__name__}: {error}")
        self.started = []
        return [words for words in said if words]

    def load_program(self):
        return os.path.join(self.options.tools, "bench_load")

    # Measures: each returns {key: value} of one round

    def limit(self):
        many = wrk(self.folder, self.nginx.port, "/", self.options.connections, self.options.seconds)
        one = wrk(self.folder, self.nginx.port, "/", 1, self.options.seconds)
        return {**{f"limit_{key}": many[key] for key in ("rps", "p50_ms", "p99_ms")},
                **{f"limit_c1_{key}": one[key] for key in ("rps", "p50_ms", "p99_ms")}}

    def accept(self):
        product.reset(self.function.control_port)
        found = wrk(self.folder, self.sluice.port, "/async-function/bench", self.options.connections, self.options.seconds)
        self.await_drained(found["requests"])
        return {"accept_rps": found["rps"], "accept_p50_ms": found["p50_ms"], "accept_p99_ms": found["p99_ms"]}

    def await_drained(self, accepted):
        """wrk stops in mid-request, so slightly more was accepted than it counted: everything, and then half a second of silence."""
        last = [-1, 0]

        def drained():
            requests = product.counts(self.function.control_port)["requests"]
            last[1] = last[1] + 1 if requests == last[0] else 0
            last[0] = requests
            return requests >= accepted and last[1] >= 5

        try:
            wait_for(drained, self.options.deadline, f"{accepted} accepted calls to be executed", 0.1)
        except BenchError as error:
            raise BenchError(f"{error}: {last[0]} were") from error

    def load(self, target, calls, connections, deadline_s, extra, port=None):
        words = {"--port": port or self.sluice.port, "--target": target, "--count": calls, "--connections": connections,
                 "--bytes": BODY_BYTES, "--run": self.run_number, "--deadline-s": deadline_s}
        command = [self.load_program()] + [str(word) for pair in words.items() for word in pair]
        return json.loads(processes.run(command + extra, deadline_s + 10))

    def closed_loop(self, target, function_control, callback=False):
        """calls/s from the first send to the last execution, or callback."""
        self.run_number += 1
        calls, counter = self.options.calls, self.receiver.control_port if callback else function_control
        product.reset(function_control, self.run_number, calls)
        product.reset(self.receiver.control_port, self.run_number, calls)
        extra = ["--callback", f"http://127.0.0.1:{self.receiver.port}/done"] if callback else []
        sent = self.load(f"/async-function/{target}", calls, self.options.connections, self.options.deadline, extra)
        seen = [{}]

        def complete():
            seen[0] = product.counts(counter)
            return seen[0]["distinct"] >= calls

        try:
            wait_for(complete, self.options.deadline, "the last call")
        except BenchError as error:
            raise BenchError(f"{error}: {seen[0]} of {calls}") from error
        executions = product.counts(function_control)
        return {"rps": calls / ((seen[0]["last_ns"] - sent["first_send_ns"]) / 1e9),
                "accepted_rps": calls / ((sent["last_answer_ns"] - sent["first_send_ns"]) / 1e9), "accept_p50_ms": sent["p50_ms"],
                "accept_p99_ms": sent["p99_ms"], "executions": executions["requests"], "duplicates": executions["duplicates"]}

    def e2e(self):
        found = self.closed_loop("bench", self.function.control_port)
        return {"e2e_rps": found.pop("rps"), **{f"e2e_{key}": value for key, value in found.items()}}

    def callback(self):
        before = self.sluice.snapshot()
        found = self.closed_loop("bench", self.function.control_port, callback=True)
        after = self.sluice.snapshot()
        by_role = {role: cpu * 1e6 / self.options.calls for role, cpu in after.cpu_since(before).items()}
        return {"e2e_callback_rps": found.pop("rps"), "cpu_us_per_call_callback": sum(by_role.values()),
                **{f"cpu_us_per_call_callback {role}": cpu for role, cpu in by_role.items()},
                **{f"e2e_callback_{key}": value for key, value in found.items()}}

    def watchdog(self):
        found = self.closed_loop(WATCHDOG_FUNCTION, self.watchdog_control)
        return {"watchdog_rps": found.pop("rps"), **{f"watchdog_{key}": value for key, value in found.items()}}

    def idle(self):
        self.run_number += 1
        calls = self.options.idle_calls
        product.reset(self.function.control_port, self.run_number, calls)
        pace, deadline = ["--interval-us", "20000"], calls // 50 + self.options.deadline
        # The same clock without queue and store: on an idle machine every wake-up takes its time, of which a closed loop sees little.
        paced = self.load("/", calls, 1, deadline, pace + ["--expect", "200"], self.nginx.port)
        before = self.sluice.snapshot()
        sent = self.load("/async-function/bench", calls, 8, deadline, pace + ["--sends", "1"])
        wait_for(lambda: product.counts(self.function.control_port)["distinct"] >= calls, self.options.deadline, "the last idle call")
        by_role = {role: cpu * 1e6 / calls for role, cpu in self.sluice.snapshot().cpu_since(before).items()}
        times = sorted((start - send) / 1e6 for start, send in zip(product.starts(self.function.control_port), sent["sends_ns"]))
        return {"idle_start_p50_ms": times[len(times) // 2], "idle_start_p99_ms": times[int(len(times) * 0.99)],
                "idle_start_max_ms": times[-1], "limit_paced_p50_ms": paced["p50_ms"], "limit_paced_p99_ms": paced["p99_ms"],
                "idle_accept_p50_ms": sent["p50_ms"], "idle_accept_p99_ms": sent["p99_ms"], "idle_late": sent["late"],
                "idle_cpu_us_per_call": sum(by_role.values()), **{f"idle_cpu_us_per_call {role}": cpu for role, cpu in by_role.items()}}

    def rss(self):
        before = self.sluice.snapshot()
        time.sleep(self.options.seconds)
        now = self.sluice.snapshot()
        rss, pss = now.memory_mb()
        idle_share = sum(now.cpu_since(before).values()) / (now.at - before.at)
        return {"rss_idle_mb": sum(rss.values()), "pss_idle_mb": pss, "idle_cpu_share": idle_share,
                **{f"rss_idle_mb {role}": size for role, size in rss.items()}}

    def deploy_watchdog(self):
        self.watchdog_control = free_port()
        folder = os.path.join(self.folder, "function")
        os.mkdir(folder)
        program = product.install_responder(os.path.join(self.options.tools, "bench_responder"), folder)
        self.sluice.deploy_behind_watchdog(WATCHDOG_FUNCTION, program, self.watchdog_control, self.options.max_inflight)

    def rounds(self):
        """The measures of all rounds, interleaved: what slows the machine for a while slows the limit as much as us."""
        rounds = []
        first = self.rss() if "rss" in self.options.only else {}
        if "watchdog" in self.options.only:
            self.deploy_watchdog()
        for number in range(self.options.runs):
            figures = {}
            for name in MEASURES:
                if name in self.options.only and name != "rss":
                    print(f"round {number + 1} of {self.options.runs}: {name} ", end="", flush=True)
                    found = getattr(self, name)()
                    key = next(iter(found))
                    print(f"{key}={found[key]:.4g}", flush=True)
                    figures.update(found)
            rounds.append(figures)
        return first, rounds

    def profile(self):
        """What summarise() says of one more run, or None where perf does not work."""
        refused = perf_profile.why_not()
        if refused:
            print(f"no profile: {refused}")
            return None
        os.makedirs(self.options.profile, exist_ok=True)
        roles = self.sluice.snapshot().role
        recording = self.keep(perf_profile.Recording(list(roles), self.folder, self.options.profile_stacks))
        wait_for(lambda: os.path.exists(recording.path), 10, "perf to start")
        found = getattr(self, self.options.profile_of)()
        recording.stop()
        key, value = next(iter(found.items()))
        print(f"\nprofile of {self.options.profile_of} ({key}={value:.4g} under perf); folded stacks in {self.options.profile}")
        result = perf_profile.summarise(recording.samples(), roles, self.options.profile)
        perf_profile.print_summary(result)
        return result


def medians(first, rounds):
    keys = dict.fromkeys(key for figures in rounds for key in figures)
    return {**first, **{key: statistics.median(figures[key] for figures in rounds if key in figures) for key in keys}}


def ratios(figures):
    return {name: figures[ours] / figures[limit] for name, (ours, limit) in RATIOS.items()
            if figures.get(ours) is not None and figures.get(limit)}


def show(figures, result):
    print()
    for key in KEYS:
        print(f"{key:28} " + (f"{figures[key]:12.3f}" if key in figures else "not measured".rjust(12)))
    print("\nratios to the limit of the same rounds")
    for key, value in result["ratios"].items():
        print(f"{key:28} {value:12.3f}")
    print("\nbeside them")
    for key, value in figures.items():
        if key not in KEYS:
            print(f"{key:44} {value:12.3f}")
    host = result["machine"]
    print(f"\n{host['cpu']}, {host['cores']} cores, Linux {host['kernel']}, load {host['load_before']} before, store on {host['store']}; "
          f"commit {result['commit'][:12]}{' with changes' if result['dirty'] else ''}, {result['date']}; "
          + ", ".join(f"{name} {version}" for name, version in result["versions"].items()))


def about(folder):
    return {**machine.commit(), "machine": {**machine.machine(), "store": machine.filesystem(folder)}, "versions": machine.versions()}


def settings(options, command):
    kept = ("calls", "connections", "idle_calls", "runs", "seconds", "max_inflight")
    return {**{name: getattr(options, name) for name in kept}, "command": command}


def measure(bench, options, result):
    """Fills `result`; what has been measured stays in it when a later step fails."""
    try:
        bench.start()
        first, rounds = bench.rounds()
        figures = medians(first, rounds)
        result.update({key: figures.get(key) for key in KEYS})
        result.update({key: value for key, value in figures.items() if key not in KEYS})
        result.update({"ratios": ratios(figures), "rounds": rounds, "settings": settings(options, bench.sluice.command)})
        show(figures, result)
        if options.profile:
            result["profile"] = bench.profile()
    except BenchError as error:
        log = bench.sluice.log_tail() if bench.sluice else ""
        raise BenchError(f"{error}\nlogs:{log}" if log else str(error)) from error


def end_all(bench):
    """Whatever happened, and although Ctrl-C is pressed again: bounded, since each stop is."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    return bench.stop()


def run_bench(options, folder):
    """The result, and why it is not to be trusted: empty when all went well."""
    result, problems = about(folder), []
    result["quiet"] = result["machine"]["load_before"] < QUIET_LOAD
    if not result["quiet"]:
        print(f"bench: load {result['machine']['load_before']} before the start: other work slows the limit's two processes more than "
              "our many, so ratios come out too high", file=sys.stderr)
    bench = Bench(options, folder)
    try:
        measure(bench, options, result)
    except BenchError as error:
        problems.append(str(error))
    except KeyboardInterrupt:
        problems.append("interrupted")
    problems += end_all(bench)
    return result, problems


def only_bench():
    """Held while the bench runs: two at once would falsify each other. An abstract socket, so that nothing is left behind."""
    one = socket.socket(socket.AF_UNIX)
    try:
        one.bind("\0sluice-bench")
    except OSError as error:
        one.close()
        raise BenchError("another bench runs on this machine; wait until it has ended") from error
    return one


def main():
    options = parse_arguments()
    try:
        alone = only_bench()
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    with alone:
        return run_alone(options)


def run_alone(options):
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = tempfile.mkdtemp(prefix="sluice-bench-", dir=options.folder)
    os.chmod(folder, 0o755)  # a function's unprivileged user reads its program here; the state folder below is 0700
    try:
        result, problems = run_bench(options, folder)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    if options.json and "rounds" in result:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({**result, "problems": problems}, file, indent=1)
            file.write("\n")
    for problem in problems:
        print(f"bench: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
