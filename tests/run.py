#!/usr/bin/env python3
"""Runs every test there is and closes with one line: N passed, N failed.

    tests/run.py [--build DIR] [--kind KIND]... [--only PATTERN]... [--timeout SECONDS] [--histories N] [WORD]...

A test is one executable of tests/<kind>/<name>_test.cpp or tests/fuzz/<name>_fuzz.cpp (its gtest cases are counted), a unittest
tests/<kind>/<name>_test.py, or tests/tidy/tidy.py. It has a deadline; beyond it, its whole process group is killed. A crash, a deadline missed, a
test that was not built and one that ran nothing count as a failure each. Two run at a time, but tests of kind e2e one by one, after the others.
"""
import argparse
import concurrent.futures
import ctypes
import fnmatch
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
KINDS = ["tidy", "unit", "fuzz", "conformance", "integration", "e2e"]
ALONE = {"e2e"}  # a whole system each: two would measure each other
AT_ONCE = 2
OUTPUT_BYTES_MAX = 1_000_000  # printed of one failing test

running = {}  # pid of a process group -> its temporary folder
running_lock = threading.Lock()


class Test:
    def __init__(self, kind, source, command, build, built=True):
        self.kind, self.source, self.command, self.build, self.built = kind, source, command, build, built
        self.name = f"{kind}_{source.stem}"


class Result:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.notes = []  # why it counts as failed, beyond what its output says
        self.seconds = 0.0
        self.output = b""

    def fail(self, note):
        self.failed += 1
        self.notes.append(note)


def find_tests(root, build):
    """Found by their sources, so that a stale executable is not run and a missing one is noticed."""
    tests = []
    for kind in KINDS:
        folder = root / "tests" / kind
        for source in sorted(folder.glob("*_fuzz.cpp" if kind == "fuzz" else "*_test.cpp")):
            executable = build / "tests" / kind / f"{kind}_{source.stem}"
            tests.append(Test(kind, source, [str(executable)], build, executable.is_file()))
        scripts = list(folder.glob("*_test.py")) + list(folder.glob("tidy.py"))
        tests += [Test(kind, source, [sys.executable, "-B", str(source)], build) for source in sorted(scripts)]
    return tests


def chosen(tests, kinds, patterns):
    def matches(test):
        return not patterns or any(p in test.name or fnmatch.fnmatch(test.name, p) for p in patterns)

    return [t for t in tests if (not kinds or t.kind in kinds) and matches(t)]


def gtest_counts(report, result):
    for suite in json.loads(report.read_text())["testsuites"]:
        for case in suite["testsuite"]:
            if case["status"] == "NOTRUN":  # disabled
                continue
            if case.get("failures"):
                result.failed += 1
            elif case.get("result") == "SKIPPED":
                result.skipped += 1
            else:
                result.passed += 1


def unittest_counts(output, status, result):
    ran = re.search(r"^Ran (\d+) tests? in ", output, re.M)
    if not ran:  # a plain script is one test
        if status == 0:
            result.passed += 1
        else:
            result.fail(f"exit code {status}")
        return
    outcome = dict(re.findall(r"(failures|errors|skipped)=(\d+)", output[ran.end():]))
    result.failed = int(outcome.get("failures", 0)) + int(outcome.get("errors", 0))
    result.skipped = int(outcome.get("skipped", 0))
    result.passed = int(ran.group(1)) - result.failed - result.skipped


def crash_counts(output, result):
    """No report was written: what had already been printed is all that is known."""
    result.passed += len(re.findall(r"^\[       OK \]", output, re.M))
    result.failed += len(re.findall(r"^\[  FAILED  \] .* \(\d+ ms\)$", output, re.M))


def count(test, status, report, result):
    text = result.output.decode(errors="replace")
    if test.source.suffix == ".py":
        unittest_counts(text, status, result)
    elif report.is_file() and report.stat().st_size > 0:
        gtest_counts(report, result)
    else:
        crash_counts(text, result)
    if status < 0:
        result.fail(f"ended by {signal.Signals(-status).name}")
    elif status != 0 and result.failed == 0:  # a sanitizer's report after the last case, exit() in a case
        result.fail(f"exit code {status}")
    elif result.passed + result.failed + result.skipped == 0:
        result.fail("ran no test")


LIBC = ctypes.CDLL(None)  # loaded here, as a forked child of a process with threads must not
PR_SET_PDEATHSIG = 1


def die_with_runner():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(test, timeout, histories):
    result = Result()
    if not test.built:
        result.fail(f"{test.command[0]} is not built")
        return result
    folder = tempfile.mkdtemp(prefix="sluice-test-")
    os.chmod(folder, 0o755)  # tests that drop to another user go through it
    report = pathlib.Path(folder, "report.json")
    command = test.command + ([f"--gtest_output=json:{report}"] if test.source.suffix == ".cpp" else [])
    temporary = pathlib.Path(folder, "t")
    temporary.mkdir()
    environment = dict(os.environ, TMPDIR=str(temporary), TEST_TMPDIR=str(temporary), SLUICE_BUILD=str(test.build))
    if test.kind == "unit" and histories:
        environment.setdefault("SLUICE_SIM_SEEDS", str(histories))
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT,
                                   env=environment, start_new_session=True, preexec_fn=die_with_runner)
        with running_lock:
            running[process.pid] = folder
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            kill_group(process.pid)  # also what a test left behind
            process.wait()
            with running_lock:
                del running[process.pid]
        result.seconds = time.monotonic() - began
        output.seek(0)
        result.output = output.read()
    if status is None:
        crash_counts(result.output.decode(errors="replace"), result)
        result.fail(f"not finished after {timeout} s")
    else:
        count(test, status, report, result)
    left = [entry.name for entry in temporary.iterdir()]
    if left and result.failed == 0:
        result.notes.append(f"left behind in its temporary folder: {' '.join(sorted(left)[:5])}")
    shutil.rmtree(folder, ignore_errors=True)
    return result


def show(test, result):
    verdict = "FAILED" if result.failed else "ok"
    line = f"{verdict:6} {test.name} {result.passed} passed"
    line += f", {result.failed} failed" if result.failed else ""
    line += f", {result.skipped} skipped" if result.skipped else ""
    print(f"{line} ({result.seconds:.1f} s)", flush=True)
    if result.failed:
        output = result.output
        if len(output) > OUTPUT_BYTES_MAX:
            half = OUTPUT_BYTES_MAX // 2
            output = output[:half] + b"\n[...]\n" + output[-half:]
        kept = [line for line in output.splitlines(keepends=True) if not line.startswith((b"[ RUN      ]", b"[       OK ]"))]
        sys.stdout.flush()
        sys.stdout.buffer.write(b"".join(kept) + b"\n")
        sys.stdout.buffer.flush()
    elif result.skipped:
        for reason in re.findall(rb"Skipped\n(.*)", result.output):
            print(f"       skipped: {reason.decode(errors='replace')}")
    for note in result.notes:
        print(f"       {test.name}: {note}", flush=True)


def run_all(tests, timeout, histories):
    """Yields each test with its result as it finishes."""
    together = [t for t in tests if t.kind not in ALONE]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        started = {pool.submit(run, t, timeout, histories): t for t in together}
        try:
            for done in concurrent.futures.as_completed(started):
                yield started[done], done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for test in tests:
        if test.kind in ALONE:
            yield test, run(test, timeout, histories)


def stop(number, _frame):
    with running_lock:
        for pid, folder in running.items():
            kill_group(pid)
            shutil.rmtree(folder, ignore_errors=True)
    os._exit(128 + number)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "dev", help="build folder (build/dev)")
    parser.add_argument("--kind", "--folder", action="append", default=[], choices=KINDS, help="only this kind; may be repeated")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="only tests whose name matches or contains it")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for each executable (900)")
    parser.add_argument("--histories", type=int, metavar="N", help="of the engine's simulated world; SLUICE_SIM_SEEDS wins")
    parser.add_argument("words", nargs="*", metavar="WORD", help="as --only")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    build = options.build.resolve()
    tests = chosen(find_tests(options.root.resolve(), build), options.kind, options.only + options.words)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    passed = failed = skipped = 0
    for test, result in run_all(tests, options.timeout, options.histories):
        show(test, result)
        passed, failed, skipped = passed + result.passed, failed + result.failed, skipped + result.skipped
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
