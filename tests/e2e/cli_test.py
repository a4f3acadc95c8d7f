"""The command line of the real binary."""
import os
import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SLUICE = pathlib.Path(os.environ.get("SLUICE_BUILD", ROOT / "build/dev")) / "sluice"
ROLES = ("up", "gateway", "queue-worker", "provider", "watchdog")


def sluice(*words, **variables):
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run([SLUICE, *words], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


class CommandLine(unittest.TestCase):
    def test_help_lists_the_roles_and_each_role_its_flags(self):
        usage = sluice("help")
        self.assertEqual(usage.returncode, 0)
        for role in ROLES:
            self.assertIn(f"\n  {role} ", usage.stdout)
            flags = sluice(role, "--help")
            self.assertEqual(flags.returncode, 0, flags.stderr)
            self.assertIn("--log-level", flags.stdout)

    def test_wrong_usage_is_one_line_and_code_2(self):
        for words, named in ((["gateway", "--bogus=1"], "--bogus"), (["gateway", "word"], "word"), (["gateway", "--listen"], "--listen"),
                             (["gateway", "--partitions=none"], "partitions"), (["gateway", "--config", "/nowhere"], "/nowhere")):
            wrong = sluice(*words)
            self.assertEqual(wrong.returncode, 2, words)
            self.assertEqual(wrong.stderr.count("\n"), 1, wrong.stderr)
            self.assertIn(named, wrong.stderr)
        self.assertEqual(sluice("gateway", SLUICE_BOGUS="1").returncode, 2)
        self.assertEqual(sluice("bogus").returncode, 2)
        self.assertEqual(sluice().returncode, 2)

    def test_a_server_that_is_not_there_is_one_line_and_code_1(self):
        dead = sluice("gateway", "--nats-url", "nats://127.0.0.1:1", "--listen", "127.0.0.1:0")
        self.assertEqual(dead.returncode, 1)
        self.assertIn("127.0.0.1:1", dead.stderr.splitlines()[-1])

    def test_a_printed_configuration_reads_back_as_itself(self):
        for role in ROLES:
            printed = sluice(role, "--print-config", "--log-level", "warn")
            self.assertEqual(printed.returncode, 0, printed.stderr)
            self.assertIn("log_level = warn", printed.stdout)
            file = pathlib.Path(os.environ.get("TEST_TMPDIR", "/tmp")) / f"{role}.{os.getpid()}.conf"
            file.write_text(printed.stdout, encoding="utf-8")
            self.addCleanup(file.unlink)
            again = sluice(role, "--config", str(file), "--print-config")
            self.assertEqual(again.stdout, printed.stdout, again.stderr)

    def test_the_page_of_the_configuration_is_up_to_date(self):
        page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
        self.assertEqual(page, sluice("config-docs").stdout, "run: build/dev/sluice config-docs > docs/configuration.md")


if __name__ == "__main__":
    unittest.main()
