"""The script x: what it installs and what it refuses, with a machine's tools played by scripts that only note how they were called."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = [line.split() for line in (ROOT / "packages.txt").read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
BUILD = [package for group, package, *_ in PACKAGES if group == "build"]
NOTED = 'echo "$(basename "$0") $*" >> "$NOTES"\n'


class Machine(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "bin").mkdir()
        (self.folder / "docs").mkdir()
        for file in ("x", "packages.txt", "docs/configuration.md"):
            shutil.copy(ROOT / file, self.folder / file)
        self.fake("dpkg-query", 'for word; do last=$word; done\n'
                                'case " $MISSING " in *" $last "*) exit 1;; esac\nprintf installed\n')
        self.fake("apt-get", NOTED + 'echo "frontend $DEBIAN_FRONTEND" >> "$NOTES"\n[ ! -t 0 ] || exit 9\nexit "${APT:-0}"\n')
        self.fake("sudo", NOTED + 'exec "$@"\n')
        self.fake("id", 'echo "$AS"\n')
        for name in ("cmake", "systemctl", "tee", "chmod", "rm"):
            self.fake(name, NOTED)

    def fake(self, name, script):
        file = self.folder / "bin" / name
        file.write_text("#!/bin/sh\n" + script, encoding="utf-8")
        file.chmod(0o755)

    def x(self, *words, missing=(), uid=0, **variables):
        notes = self.folder / "notes"
        notes.unlink(missing_ok=True)
        environment = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "NOTES": str(notes), "MISSING": " ".join(missing), "AS": str(uid),
                       **variables}
        done = subprocess.run(["bash", "x", *words], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)
        return done, notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []

    def test_nothing_missing_asks_apt_for_nothing(self):
        done, notes = self.x("build")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([note for note in notes if not note.startswith("cmake ")], [])
        self.assertTrue(any("--target sluice" in note for note in notes))

    def test_help_of_up_builds_nothing(self):
        for words in (("up", "--help"), ("demo", "-h")):
            done, notes = self.x(*words)
            self.assertEqual((done.returncode, notes), (0, []), done.stderr)
            self.assertIn("--listen  Address of the gateway", done.stdout)

            self.assertNotIn("( )", done.stdout)

    def test_a_wrong_value_is_refused_by_an_earlier_build_of_these_sources(self):
        made = self.folder / "build/release/sluice"
        made.parent.mkdir(parents=True)
        made.write_text('#!/bin/sh\necho "$*" >> "$NOTES"\n[ "$2" != --print-config ] || exit "${REFUSES:-0}"\n', encoding="utf-8")
        made.chmod(0o755)
        words = ["up", "--listen", "127.0.0.1:0"]
        done, notes = self.x(*words, missing=BUILD[:1], REFUSES="2")
        self.assertEqual((done.returncode, notes), (2, ["up --print-config --listen 127.0.0.1:0"]))
        for refuses in ("0", "127"):
            done, notes = self.x(*words, REFUSES=refuses)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(any("--target sluice" in note for note in notes), notes)
        done, notes = self.x("up", "--config", "/dev/fd/7", REFUSES="2")
        self.assertEqual(done.returncode, 0, "it can be read once")
        (self.folder / "core").mkdir()
        os.utime(self.folder / "core", (made.stat().st_mtime + 1,) * 2)
        done, notes = self.x(*words, REFUSES="2")
        self.assertEqual(done.returncode, 0, "an older build may not know it")

    def test_exactly_what_is_missing_is_installed_without_a_question(self):
        for uid in (0, 1000):
            done, notes = self.x("build", missing=BUILD[:2], uid=uid)
            self.assertEqual(done.returncode, 0, done.stderr)
            installs = [note for note in notes if note.startswith("apt-get ") and " install " in note]
            self.assertEqual(len(installs), 1, notes)
            self.assertEqual(installs[0].split("--no-install-recommends ")[1].split(), BUILD[:2])
            self.assertIn(" -y ", installs[0])
            self.assertEqual(notes[notes.index(installs[0]) + 1], "frontend noninteractive")
            self.assertEqual(any(note.startswith("sudo ") and "apt-get" in note for note in notes), uid != 0)
            self.assertLess(notes.index(installs[0]), [note.startswith("cmake ") for note in notes].index(True))

    def test_a_failure_of_apt_is_said_and_ends_it(self):
        done, notes = self.x("build", missing=BUILD[:1], APT="100")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("x: apt-get update failed", done.stderr)
        self.assertFalse(any(note.startswith("cmake ") for note in notes))
        self.fake("apt-get", 'case "$*" in *install*) exit 100;; esac\n')
        done, notes = self.x("build", missing=BUILD[:1])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"x: apt-get could not install: {BUILD[0]}", done.stderr)
        self.assertFalse(any(note.startswith("cmake ") for note in notes))

    def test_told_not_to_install_it_names_what_is_missing(self):
        done, notes = self.x("build", missing=BUILD[:2], SLUICE_X_INSTALL="no")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"x: missing packages: {BUILD[0]} {BUILD[1]}", done.stderr)
        self.assertEqual(notes, [])

    def test_what_it_does_not_know_is_refused_before_anything_is_done(self):
        for words, named in ((["up", "--bogus"], "--bogus"), (["demo", "--listen", "127.0.0.1:0", "--bogus=1"], "--bogus"), (["bogus"], "bogus")):
            done, notes = self.x(*words, missing=BUILD[:1])
            self.assertEqual(done.returncode, 2, words)
            self.assertIn(named, done.stderr.splitlines()[0])
            self.assertEqual(notes, [])
        done, notes = self.x("up", "--listen=127.0.0.1:0", "--run-then-stop", "--", "--bogus", missing=BUILD[:1], SLUICE_X_INSTALL="no")
        self.assertIn("missing packages", done.stderr)

    def test_without_a_command_it_prints_them(self):
        for words in ([], ["help"]):
            done, notes = self.x(*words)
            self.assertEqual(done.returncode, 0)
            for command in ("up", "demo", "test", "bench", "build", "lint"):
                self.assertIn(f"\n  {command} ", done.stdout)
            self.assertEqual(notes, [])


if __name__ == "__main__":
    unittest.main()
