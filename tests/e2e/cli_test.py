"""The command line of the real binary."""
import os
import pathlib
import re
import socket
import subprocess
import tempfile
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

    def test_values_that_do_not_go_together_are_code_2_before_anything_is_started(self):
        with tempfile.TemporaryDirectory() as folder:
            nothing = pathlib.Path(folder) / "state"
            for role, words, named in (("gateway", ["--body-bytes-budget=1MiB"], "body_bytes_budget"),
                                       ("gateway", ["--answer-bytes-budget=1MiB"], "answer_bytes_budget"),
                                       ("provider", [f"--nats-key-file={__file__}"], "nats_key_file"),
                                       ("up", ["--role-option=gateway.body_bytes_budget=1MiB"], "role_option.*body_bytes_budget"),
                                       ("up", [f"--role-option=gateway.nats_cert_file={__file__}"], "role_option.*nats_cert_file")):
                own = ["--state", str(nothing)] if role == "up" else []
                for more in ([], ["--print-config"]):
                    refused = sluice(role, *own, *words, *more)
                    self.assertEqual((refused.returncode, refused.stdout), (2, ""), (words, refused.stderr))
                    self.assertRegex(refused.stderr, named)
            self.assertFalse(nothing.exists())
            one = sluice("up", "--state", str(nothing), "--print-config", f"--role-option=gateway.basic_auth_user_file={__file__}",
                         "--role-option=gateway.function_body_bytes_max=2MiB", "--role-option=gateway.body_bytes_budget=2MiB")
            self.assertEqual(one.returncode, 0, one.stderr)

    def test_a_watchdog_that_cannot_note_its_end_still_says_why_it_ends(self):
        ended = sluice("watchdog", "--end-file=/nowhere/end", fprocess="no-such-program")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("fprocess", ended.stderr.splitlines()[-1])

    def test_a_password_in_a_nats_url_is_not_shown(self):
        for role, key in (("gateway", "nats_url"), ("queue-worker", "nats_url"), ("provider", "nats_url"), ("up", "nats")):
            printed = sluice(role, "--print-config", f"--{key.replace('_', '-')}=nats://me:secret@h:1,tls://you:secret@i:2")
            self.assertIn(f"\n{key} = nats://***@h:1,tls://***@i:2\n", "\n" + printed.stdout)
            refused = sluice(role, f"--{key.replace('_', '-')}=http://me:secret@h:1")
            self.assertEqual(refused.returncode, 2)
            self.assertIn("http://***@h:1", refused.stderr)
            self.assertNotIn("secret", printed.stdout + printed.stderr + refused.stderr)

    def test_a_wrong_value_of_any_role_from_any_source_is_code_2_before_anything_is_started(self):
        with tempfile.TemporaryDirectory() as folder:
            nothing = pathlib.Path(folder) / "state"
            empty = pathlib.Path(folder) / "empty"
            empty.write_text("\n", encoding="utf-8")
            wrong = [("gateway", "listen", "nowhere"), ("gateway", "listen", "somewhere:1"), ("gateway", "callback_allow", "10.0.0.1/8"),
                     ("gateway", "basic_auth_user_file", "/nowhere"), ("gateway", "nats_url", "http://x:1"),
                     ("queue-worker", "metrics_listen", "9091"), ("queue-worker", "callback_allow", "10.0.0.0/8,::1"),
                     ("queue-worker", "callback_ca_file", "/nowhere"), ("queue-worker", "nats_password_file", "/nowhere"),
                     ("provider", "static_function", "x=ftp://h:1"), ("provider", "metrics_listen", "::1:9"),
                     ("watchdog", "listen", "8080"), ("watchdog", "metrics_listen", "x"),
                     ("up", "listen", "8080"), ("up", "listen", ""), ("gateway", "listen", ""), ("up", "callback_allow", "a b"),
                     ("up", "static_function", "x"), ("up", "nats", "nats://:1"),
                     ("up", "nats_ca_file", "/nowhere"), ("up", "role_option", "gateway.no_such_key=1"),
                     ("up", "role_option", "queue-worker.calls_max=1"), ("up", "role_option", "watchdog.listen=127.0.0.1:1"),
                     ("queue-worker", "nats_password_file", str(empty)), ("gateway", "basic_auth_user_file", str(empty))]
            file = pathlib.Path(folder) / "wrong.conf"
            for role, key, value in wrong:
                own = ["--state", str(nothing)] if role == "up" else []
                file.write_text(f"{key} = {value}\n", encoding="utf-8")
                for words, variables in (([f"--{key.replace('_', '-')}={value}"], {}), ([], {f"SLUICE_{key.upper()}": value}),
                                         (["--config", str(file)], {})):
                    for more in ([], ["--print-config"]):
                        refused = sluice(role, *own, *words, *more, **variables)
                        self.assertEqual(refused.returncode, 2, (role, key, words, refused.stderr))
                        self.assertRegex(refused.stderr.replace("-", "_").lower(), key)
                        self.assertIn(value, refused.stderr)
                        self.assertEqual(refused.stdout, "")
            self.assertFalse(nothing.exists())

    def test_options_that_need_each_other_are_refused_alone(self):
        for role in ("up", "gateway", "queue-worker", "provider"):
            alone = sluice(role, "--nats-cert-file", "/dev/null")
            self.assertEqual(alone.returncode, 2, role)
            self.assertIn("nats_key_file", alone.stderr)
        self.assertEqual(sluice("gateway", "--basic-auth-user-file", "/dev/null").returncode, 2)
        twice = "a=http://127.0.0.1:1;a.openfaas-fn=http://127.0.0.1:2"
        for role in ("up", "provider"):
            refused = sluice(role, "--static-function", twice)
            self.assertEqual(refused.returncode, 2, role)
            self.assertIn("static_function: a.openfaas-fn is given twice", refused.stderr)
        self.assertEqual(sluice("up", "--state=").returncode, 2)
        small = sluice("queue-worker", "--journal-bytes-max=1MiB")
        self.assertEqual((small.returncode, "journal_bytes_max" in small.stderr), (2, True), small.stderr)
        crowded = sluice("up", "--partitions=32", "--nats-store-bytes-max=256MiB")
        self.assertEqual((crowded.returncode, "nats_store_bytes_max" in crowded.stderr), (2, True), crowded.stderr)
        self.assertIn("state_folder", sluice("provider").stderr)
        self.assertEqual(sluice("provider").returncode, 2)

    def test_a_list_means_the_same_in_a_flag_the_environment_and_what_is_printed(self):
        wanted = "a=http://127.0.0.1:1,max_inflight=2;b=http://127.0.0.1:2"
        for words, variables in (([f"--static-function={wanted}"], {}), ([], {"SLUICE_STATIC_FUNCTION": wanted}),
                                 ([word for item in wanted.split(";") for word in ("--static-function", item)], {})):
            printed = sluice("provider", "--print-config", *words, **variables)
            self.assertIn(f"\nstatic_function = {wanted}\n", printed.stdout, printed.stderr)

    def test_the_callback_allow_that_up_logs_can_be_given_back_to_it(self):
        with tempfile.TemporaryDirectory() as folder:
            ran = sluice("up", "--state", str(pathlib.Path(folder) / "state"), "--listen=127.0.0.1:0", "--run=true", "--run-then-stop")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        logged = re.search(r"callback_allow=(\S+)", ran.stdout + ran.stderr).group(1)
        printed = sluice("up", "--print-config", f"--callback-allow={logged}")
        self.assertEqual(printed.returncode, 0, printed.stderr)
        self.assertIn(f"\ncallback_allow = {logged}\n", printed.stdout)

    def test_an_address_that_is_taken_is_said_before_anything_is_started(self):
        with socket.create_server(("127.0.0.1", 0)) as taken, tempfile.TemporaryDirectory() as folder:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            state = pathlib.Path(folder) / "state"
            for words, advice in ((["--listen", address], "--listen HOST:PORT"),
                                  (["--listen=127.0.0.1:1", f"--role-option=gateway.listen={address}"], "--role-option gateway.listen=HOST:PORT"),
                                  (["--listen=127.0.0.1:0", f"--role-option=provider.metrics_listen={address}"],
                                   "--role-option provider.metrics_listen=HOST:PORT")):
                refused = sluice("up", "--state", str(state), *words)
                self.assertEqual(refused.returncode, 1, refused.stderr)
                self.assertIn(f": listen on {address}: Address already in use; {advice} chooses another address", refused.stderr)
                self.assertEqual(list((state / "log").glob("*")), [], "nothing was started")

    def test_localhost_is_an_address(self):
        self.assertEqual(sluice("gateway", "--print-config", "--listen=localhost:8081").returncode, 0)

    def test_a_call_has_60_seconds_unless_told_otherwise(self):
        self.assertIn("\ncall_deadline = 1m\n", sluice("queue-worker", "--print-config").stdout)
        self.assertIn("\nupstream_timeout = 1m\n", sluice("gateway", "--print-config").stdout)
        self.assertIn("\ncall_deadline = 5s\n", sluice("queue-worker", "--print-config", "--call-deadline=5s").stdout)

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
