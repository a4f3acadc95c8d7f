"""What the examples send for a stack file, and README's pipe that sends it, with a gateway that only notes what it gets."""
import http.server
import json
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
STACK = """
x-common: &common
  debug: true
functions:
  first:
    image: first
    fprocess: env
    environment: {<<: *common, workers: 8, ratio: 1.0, mask: 0x1F, answer: no, code: "007", nothing: }
    labels:
    readonly_root_filesystem: true
    limits: {cpu: 1}
  second:
    image: second
    fprocess: printf it's a 'quote'
"""
FIRST = {"service": "first", "image": "first", "envProcess": "env", "readOnlyRootFilesystem": True, "limits": {"cpu": "1"},
         "envVars": {"debug": "true", "workers": "8", "ratio": "1.0", "mask": "0x1F", "answer": "no", "code": "007", "nothing": ""}}
SECOND = {"service": "second", "image": "second", "envProcess": "printf it's a 'quote'"}


class Gateway(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        self.server.noted.append((self.path, self.headers["Authorization"], self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class StackFile(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "stack.yml").write_text(STACK, encoding="utf-8")

    def test_scalars_are_the_text_that_they_are_written_as(self):
        printed = subprocess.run([ROOT / "examples/deployment.py", "stack.yml", "--namespace", "team"], cwd=self.folder, capture_output=True,
                                 text=True, timeout=60, check=True).stdout
        self.assertEqual([json.loads(line) for line in printed.splitlines()], [{**each, "namespace": "team"} for each in (FIRST, SECOND)])

    def test_what_is_not_read_is_refused_in_a_line(self):
        for stack, said in [("functions: {f: {image: i, environment_file: [env.yml]}}", "functions.f.environment_file: not read here"),
                            ("functions: {f: {image: i, fprocess: '${CMD:-cat}'}}", "${VARIABLES} are not replaced here"),
                            ("provider: {name: openfaas}", "functions: missing"), ("functions: [f]", "functions: missing, or no mapping"),
                            ("functions: {f: text}", "functions.f: no mapping"), ("functions: {", "while parsing")]:
            (self.folder / "stack.yml").write_text(stack, encoding="utf-8")
            done = subprocess.run([ROOT / "examples/deployment.py", "stack.yml"], cwd=self.folder, capture_output=True, text=True, timeout=60,
                                  check=False)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("deployment.py: stack.yml: ", done.stderr)
            self.assertIn(said, done.stderr)
            self.assertNotIn("Traceback", done.stderr)

    def test_readmes_pipe_sends_each_function_of_a_stack_file(self):
        blocks = re.findall(r"```\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
        pipe, = (block for block in blocks if "examples/deployment.py" in block)
        (self.folder / "examples").symlink_to(ROOT / "examples")
        (self.folder / ".state/secrets").mkdir(parents=True)
        (self.folder / ".state/secrets/basic-auth-password").write_text("secret", encoding="utf-8")
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as gateway:
            gateway.noted = []
            threading.Thread(target=gateway.serve_forever, daemon=True).start()
            environment = {"PATH": os.environ["PATH"], "OPENFAAS_URL": f"http://127.0.0.1:{gateway.server_address[1]}"}
            done = subprocess.run(["bash", "-ec", pipe.replace("examples/sha512sum/stack.yml", "stack.yml")], cwd=self.folder, env=environment,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
            gateway.shutdown()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count(" 202 "), 2, done.stdout)
        self.assertEqual([json.loads(body) for _, _, body in gateway.noted], [FIRST, SECOND])
        self.assertEqual({(path, auth) for path, auth, _ in gateway.noted}, {("/system/functions", "Basic YWRtaW46c2VjcmV0")})


if __name__ == "__main__":
    unittest.main()
