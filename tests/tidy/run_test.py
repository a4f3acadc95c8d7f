"""The test runner, on trees of small scripts in place of executables: what it counts, and that nothing bad looks like success."""
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import unittest

RUNNER = pathlib.Path(__file__).resolve().parent.parent / "run.py"

GTEST = """\
#!/usr/bin/env python3
import json, os, signal, sys
report = next(a.split(":", 1)[1] for a in sys.argv if a.startswith("--gtest_output=json:"))
cases = {cases!r}
outcome = dict(ok={{"status": "RUN", "result": "COMPLETED"}}, skipped={{"status": "RUN", "result": "SKIPPED"}},
               failed={{"status": "RUN", "result": "COMPLETED", "failures": [{{}}]}}, disabled={{"status": "NOTRUN"}})
print("output of the test")
{before}
json.dump({{"testsuites": [{{"testsuite": [outcome[c] for c in cases]}}]}}, open(report, "w"))
{after}
sys.exit("failed" in cases)
"""


class RunnerTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def gtest(self, kind, name, cases, before="", after="", built=True):
        self.write(f"tests/{kind}/{name}_test.cpp", "")
        if built:
            self.write(f"build/tests/{kind}/{kind}_{name}_test", GTEST.format(cases=cases, before=before, after=after)).chmod(0o755)

    def script(self, path, text):
        self.write(path, textwrap.dedent(text))

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def run_it(self, *arguments):
        command = [sys.executable, str(RUNNER), "--root", str(self.root), "--build", str(self.root / "build"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        lines = done.stdout.splitlines()
        return done.returncode, lines[-1] if lines else "", done.stdout

    def test_counts_cases_of_all_kinds(self):
        self.gtest("unit", "a", ["ok", "ok", "disabled"])
        self.gtest("e2e", "b", ["ok"])
        self.script("tests/tidy/c_test.py", """
            import unittest
            class T(unittest.TestCase):
                def test_one(self): pass
                def test_two(self): self.skipTest("why not")
            unittest.main()
        """)
        self.script("tests/tidy/tidy.py", "print('nothing found')")
        self.assertEqual(self.run_it()[:2], (0, "5 passed, 0 failed, 1 skipped"))

    def test_failing_cases_fail_and_their_output_is_shown(self):
        self.gtest("unit", "good", ["ok"])
        self.gtest("unit", "bad", ["ok", "failed", "skipped"])
        status, last, output = self.run_it()
        self.assertEqual((status, last), (1, "2 passed, 1 failed, 1 skipped"))
        self.assertEqual(output.count("output of the test"), 1)

    def test_failing_scripts_fail(self):
        self.script("tests/tidy/a_test.py", """
            import unittest
            class T(unittest.TestCase):
                def test_one(self): self.fail()
                def test_two(self): raise RuntimeError()
                def test_three(self): pass
            unittest.main()
        """)
        self.script("tests/tidy/tidy.py", "raise SystemExit(1)")
        self.assertEqual(self.run_it()[:2], (1, "1 passed, 3 failed"))

    def test_a_crash_is_a_failure_beside_what_had_passed(self):
        self.gtest("unit", "a", ["ok"], before="print('[       OK ] a.b (0 ms)', flush=True); os.kill(os.getpid(), signal.SIGSEGV)")
        status, last, output = self.run_it()
        self.assertEqual((status, last), (1, "1 passed, 1 failed"))
        self.assertIn("ended by SIGSEGV", output)

    def test_a_bad_exit_after_good_cases_is_a_failure(self):
        self.gtest("unit", "a", ["ok"], after="sys.exit(23)")
        self.assertEqual(self.run_it()[:2], (1, "1 passed, 1 failed"))

    def test_a_deadline_missed_is_a_failure_and_ends_the_whole_group(self):
        pid_file = self.root / "pid"
        child = "import os, signal; os.getpgrp(); signal.pause()"
        self.gtest("unit", "a", ["ok"], before=f"""
import subprocess
child = subprocess.Popen([sys.executable, "-c", {child!r}])
open({str(pid_file)!r}, "w").write(str(child.pid))
signal.pause()
""")
        status, last, output = self.run_it("--timeout", "5")
        self.assertEqual((status, last), (1, "0 passed, 1 failed"))
        self.assertIn("not finished after 5.0 s", output)
        try:
            state = pathlib.Path("/proc", pid_file.read_text(), "stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            state = "Z"
        self.assertEqual(state, "Z")

    def test_what_is_not_built_or_runs_nothing_is_a_failure(self):
        self.gtest("unit", "missing", ["ok"], built=False)
        self.gtest("unit", "empty", [])
        status, last, output = self.run_it()
        self.assertEqual((status, last), (1, "0 passed, 2 failed"))
        self.assertIn("is not built", output)
        self.assertIn("ran no test", output)

    def test_running_nothing_is_a_failure(self):
        self.assertEqual(self.run_it()[:2], (1, "0 passed, 0 failed"))
        self.gtest("unit", "a", ["ok"])
        self.assertEqual(self.run_it("--only", "b*")[:2], (1, "0 passed, 0 failed"))

    def test_stale_executables_are_not_run(self):
        self.gtest("unit", "a", ["ok"])
        self.gtest("unit", "gone", ["failed"])
        (self.root / "tests/unit/gone_test.cpp").unlink()
        self.assertEqual(self.run_it()[:2], (0, "1 passed, 0 failed"))

    def test_kind_and_names_choose(self):
        self.gtest("unit", "a", ["ok"])
        self.gtest("unit", "b", ["ok", "ok"])
        self.gtest("e2e", "a", ["ok"] * 4)
        self.assertEqual(self.run_it("--kind", "unit")[1], "3 passed, 0 failed")
        self.assertEqual(self.run_it("--only", "unit_b*")[1], "2 passed, 0 failed")
        self.assertEqual(self.run_it("a_test")[1], "5 passed, 0 failed")

    def test_end_to_end_tests_run_alone(self):
        # Each leaves a mark while it runs, and looks for others'.
        for name in "abc":
            mark = f"""
import pathlib
marks = pathlib.Path({str(self.root)!r})
(marks / "mark-{name}").write_text("")
alone = len(list(marks.glob("mark-*"))) == 1
(marks / "mark-{name}").unlink()
assert alone
"""
            self.gtest("e2e", name, ["ok"], before=mark)
        self.assertEqual(self.run_it()[:2], (0, "3 passed, 0 failed"))

    def test_interrupted_ends_its_tests(self):
        ready = self.root / "ready"
        os.mkfifo(ready)
        self.gtest("unit", "a", ["ok"], before=f"open({str(ready)!r}, 'w').write(str(os.getpid())); signal.pause()")
        command = [sys.executable, str(RUNNER), "--root", str(self.root), "--build", str(self.root / "build")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as runner:
            test = os.pidfd_open(int(ready.read_text()))
            self.addCleanup(os.close, test)
            runner.send_signal(signal.SIGTERM)
            self.assertEqual(runner.wait(60), 128 + signal.SIGTERM)
        self.assertEqual(select.select([test], [], [], 60)[0], [test])


if __name__ == "__main__":
    unittest.main()
