"""The tour of the examples, each answer checked, against the real binary: what ./x demo runs."""
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SLUICE = pathlib.Path(os.environ.get("SLUICE_BUILD", ROOT / "build/dev")).resolve() / "sluice"


class Tour(unittest.TestCase):
    def test_each_step_answers_as_promised_on_a_new_state_and_on_one_that_is_continued(self):
        # Without our temporary folder, which the functions' user cannot enter.
        environment = {key: value for key, value in os.environ.items() if key != "TMPDIR" and not key.startswith("SLUICE_")}
        with tempfile.TemporaryDirectory() as state:
            fewer = ["--body-bytes-max=16KiB", "--callback-allow=", "--role-option=gateway.function_body_bytes_max=100KiB"]
            command = [SLUICE, "up", "--state", state, "--listen", "127.0.0.1:0", "--run-then-stop", "--run",
                       "exec python3 -B examples/tour.py --check"]
            for start, more in (("new", []), ("continued", []), ("with less allowed", fewer)):
                done = subprocess.run(command + more, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, timeout=280, check=False)
                self.assertEqual(done.returncode, 0, f"{start}: {done.stdout}")
                self.assertIn("Each step answered as promised.", done.stdout)
                self.assertEqual(done.stdout.count("left out: "), 5 if more else 0, done.stdout)
            for named in ("function_body_bytes_max is 102400", "body_bytes_max is 16384", "callback_allow of the gateway does not list 127.0.0.1"):
                self.assertIn(f"left out: {named}", done.stdout)


if __name__ == "__main__":
    unittest.main()
