#!/usr/bin/env python3
"""Deploys the examples and calls them: each step is a shell line that is printed, run, and its answer compared with what is promised.

    examples/tour.py [--check] [--stay]

It is run by `sluice up --run`, which sets OPENFAAS_URL and SLUICE_STATE. --check: exit 1 if an answer is not as promised. --stay: afterwards callbacks
are shown as they come, until it is ended. What the options of `up` make impossible is left out, and named.
"""
import argparse
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

from callback_receiver import CallbackReceiver
from tour_options import TourOptions

ROOT = pathlib.Path(__file__).resolve().parent.parent
PHOTO = "examples/thumbnail/photo.jpg"
PUSH = "examples/github-push/push.json"
STEP_SECONDS = 60  # for one step, callback included
READY_SECONDS = 60  # for a function's first replica
SHOWN_BYTES = 1200


class Promise(Exception):
    """An answer is not as promised."""


def promise(holds, what):
    if not holds:
        raise Promise(what)


class Answer:
    def __init__(self, output, callback=None):
        self.output = output  # what the line wrote to stdout
        self.callback = callback
        head = output.split(b"\r\n\r\n", 1)[0].decode("latin-1")
        status = re.match(r"HTTP/1\.1 (\d+)", head)
        self.status = int(status.group(1)) if status else 0
        self.headers = {name.lower(): value for name, value in re.findall(r"(?m)^([\w-]+): *(.*?)\r?$", head)}


def shown(data):
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"({len(data):,} bytes)"
    return text[:SHOWN_BYTES] + (" …" if len(text) > SHOWN_BYTES else "")


def indented(text):
    return "\n".join("    " + line for line in text.replace("\r", "").strip("\n").split("\n"))


class Tour:
    def __init__(self, state, url):
        self.url = url
        self.work = pathlib.Path(state) / "tour"
        self.work.mkdir(exist_ok=True)
        self.options = TourOptions.of_state(state)
        user = (pathlib.Path(state) / "secrets/basic-auth-user").read_text(encoding="utf-8").strip()
        self.auth = f'-u "{user}:$(cat {state}/secrets/basic-auth-password)"'
        self.talking = threading.Lock()
        self.staying = False
        self.receiver = CallbackReceiver(self.show_late_callback)
        self.broken, self.left_out = [], []
        self.no_callbacks = self.options.callback_refused("127.0.0.1", self.receiver.port)

    def say(self, text):
        with self.talking:
            print(text, flush=True)

    def shell(self, line):
        return subprocess.run(["bash", "-c", line], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=STEP_SECONDS, check=False).stdout

    def step(self, title, line, check, unless=""):
        """`check` gets the answer and raises Promise; a step that mentions the receiver's address waits for its callback. `unless`: why the
        step is impossible."""
        if self.receiver.url in line:
            unless = unless or self.no_callbacks
        if unless:
            self.left_out.append(title)
            return self.say(f"\n# {title}\n    left out: {unless}")
        self.say(f"\n# {title}\n$ {line}")
        try:
            answer = Answer(self.shell(line))
            self.say(indented(shown(answer.output)))
            if self.receiver.url in line:
                answer.callback = self.await_callback(answer)
            check(answer)
        except (Promise, subprocess.TimeoutExpired) as broken:
            self.broken.append(title)
            self.say(f"    NOT AS PROMISED: {broken}")

    def await_callback(self, answer):
        call_id = answer.headers.get("x-call-id", "")
        promise(answer.status == 202 and call_id, "202 with an X-Call-Id")
        callback = self.receiver.wait(call_id, STEP_SECONDS)
        promise(callback, f"a callback for {call_id} within {STEP_SECONDS} s")
        self.show_callback(callback)
        return callback

    def show_callback(self, callback):
        names = ("X-Call-Id", "X-Function-Name", "X-Function-Status", "X-Duration-Seconds", "Content-Type")
        fields = "".join(f"{name}: {callback.headers[name]}\n" for name in names if name in callback.headers)
        self.say(f"  callback: POST {callback.path}\n" + indented(fields + shown(callback.body)))

    def show_late_callback(self, callback):
        if self.staying:
            self.show_callback(callback)

    def exists(self, path):
        return self.shell(f"curl -s -o /dev/null -w '%{{http_code}}' {self.auth} {self.url}{path}") == b"200"

    def deploy(self, folder, namespace=""):
        name = folder + ("." + namespace if namespace else "")
        method = "PUT" if self.exists(f"/system/function/{folder}?namespace={namespace}") else "POST"  # as faas-cli does
        space = f" --namespace {namespace}" if namespace else ""
        self.step(f"Deploy {name}.",
                  f"examples/deployment.py examples/{folder}/stack.yml{space} |\n"
                  f"    xargs -d '\\n' -n 1 curl -si -X {method} {self.auth} {self.url}/system/functions --data-binary",
                  lambda answer: promise(answer.status == 202, "202"))
        self.await_ready(folder, namespace)

    def await_ready(self, name, namespace):
        until = time.monotonic() + READY_SECONDS
        line = f"curl -s {self.auth} '{self.url}/system/function/{name}?namespace={namespace}'"
        pause = threading.Event()
        reason = "none is told"
        while time.monotonic() < until:
            try:
                function = json.loads(self.shell(line))
                if function.get("availableReplicas", 0) > 0:
                    return
                reason = function.get("status", {}).get("reason", reason)
            except ValueError:
                pass
            pause.wait(0.1)
        self.broken.append(f"{name} ready")
        self.say(f"    NOT AS PROMISED: a ready replica of {name} within {READY_SECONDS} s; reason: {reason}")


def size_of(picture):
    return subprocess.run(["identify", "-format", "%m %wx%h", picture], stdout=subprocess.PIPE, check=False).stdout.decode()


def deploy_steps(tour):
    tour.step("Without the password nothing is deployed or seen.", f"curl -si {tour.url}/system/functions",
              lambda answer: promise(answer.status == 401, "401"))
    for folder in ("sha512sum", "thumbnail", "github-push"):
        tour.deploy(folder)

    def listed(answer):
        names = {function["name"] for function in json.loads(answer.output)}
        promise({"sha512sum", "thumbnail", "github-push"} <= names, "the three functions in the list")

    tour.step("What is deployed?", f"curl -s {tour.auth} {tour.url}/system/functions |\n"
              "    python3 -c 'import json, sys; print(json.dumps([{k: f.get(k) for k in (\"name\", \"namespace\", \"availableReplicas\")}"
              " for f in json.load(sys.stdin)], indent=1))'", listed)


def sync_steps(tour):
    digest = hashlib.sha512(b"sluice").hexdigest()
    tour.step("A call that waits for the answer: the body is the program's stdin.",
              f"printf sluice | curl -s --data-binary @- {tour.url}/function/sha512sum",
              lambda answer: promise(answer.output == f"{digest}  -\n".encode(), "the digest of the body"))
    small = tour.work / "thumbnail.jpg"
    small.unlink(missing_ok=True)
    tour.step("A photograph in, a thumbnail out.",
              f"curl -s --data-binary @{PHOTO} -o {small} {tour.url}/function/thumbnail && identify {PHOTO} {small}",
              lambda answer: promise(size_of(small) == "JPEG 160x107", "a JPEG of 160x107"),
              unless=tour.options.too_large(ROOT / PHOTO, "function_body_bytes_max", "8MiB"))


def async_steps(tour):
    def digest(answer):
        expected = hashlib.sha512((ROOT / PHOTO).read_bytes()).hexdigest()
        promise(answer.callback.body == f"{expected}  -\n".encode(), "the digest of the photograph in the callback")
        promise(answer.callback.headers["X-Function-Status"] == "200", "X-Function-Status: 200")

    def picture(answer):
        small = tour.work / "callback.jpg"
        small.write_bytes(answer.callback.body)
        promise(size_of(small) == "JPEG 160x107", "a JPEG of 160x107 in the callback")

    for name, check in (("sha512sum", digest), ("thumbnail", picture)):
        tour.step(f"The same without waiting: 202 once the call is stored, the answer of {name} to the callback.",
                  f"curl -si --data-binary @{PHOTO} -H 'X-Callback-Url: {tour.receiver.url}/{name}' {tour.url}/async-function/{name}", check,
                  unless=tour.options.too_large(ROOT / PHOTO, "body_bytes_max"))


def webhook_steps(tour):
    def line(secret):
        return (f"curl -si -H 'X-GitHub-Event: push' -H 'X-Callback-Url: {tour.receiver.url}/pushed' \\\n"
                f"    -H \"X-Hub-Signature-256: sha256=$(openssl dgst -sha256 -hmac '{secret}' -r {PUSH} | cut -d ' ' -f 1)\" \\\n"
                f"    --data-binary @{PUSH} {tour.url}/async-function/github-push")

    def summary(answer):
        promise(answer.callback.headers["X-Function-Status"] == "200", "X-Function-Status: 200")
        pushed = json.loads(answer.callback.body)
        promise(pushed["repository"] == "harbour-lights/tide-tables" and len(pushed["commits"]) == 2, "the push's repository and commits")

    too_large = tour.options.too_large(ROOT / PUSH, "body_bytes_max")
    tour.step("A GitHub webhook, signed: its summary goes to the callback.", line("It is a secret to everybody"), summary, unless=too_large)
    tour.step("One that somebody else signed.", line("a guess"),
              lambda answer: promise(answer.callback.headers["X-Function-Status"] == "401", "X-Function-Status: 401"), unless=too_large)


def refused_steps(tour):
    tour.step("A function that does not exist.", f"curl -si --data-binary 1 {tour.url}/async-function/nothing-here",
              lambda answer: promise(answer.status == 404, "404"))
    tour.step("A body beyond the limit.",
              f"head -c {tour.options.bytes_max('body_bytes_max') + 1} /dev/zero |\n"
              f"    curl -si -H 'Expect:' --data-binary @- {tour.url}/async-function/sha512sum",
              lambda answer: promise(answer.status == 413 and b"body_bytes_max" in answer.output, "413 that names body_bytes_max"))
    tour.step("A callback to where no callback may go.",
              f"curl -si -H 'X-Callback-Url: http://169.254.169.254/latest/meta-data' -d 1 {tour.url}/async-function/sha512sum",
              lambda answer: promise(answer.status == 400, "400"),
              unless="" if tour.options.callback_refused("169.254.169.254", 80) else "callback_allow lists 169.254.169.254")


def namespace_steps(tour):
    if not tour.exists("/system/namespace/team-a"):
        tour.step("A namespace: a tenant of its own.",
                  f"curl -si {tour.auth} -d '{{\"name\": \"team-a\", \"labels\": {{\"openfaas\": \"1\"}}, "
                  f"\"annotations\": {{\"openfaas\": \"1\"}}}}' {tour.url}/system/namespace/",
                  lambda answer: promise(answer.status == 201, "201"))
    tour.deploy("sha512sum", "team-a")
    tour.step("The tenant's function, by its full name.", f"printf sluice | curl -s --data-binary @- {tour.url}/function/sha512sum.team-a",
              lambda answer: promise(hashlib.sha512(b"sluice").hexdigest().encode() in answer.output, "the digest of the body"))
    tour.step("And removed again.",
              f"curl -si -X DELETE {tour.auth} -d '{{\"functionName\": \"sha512sum\", \"namespace\": \"team-a\"}}' {tour.url}/system/functions",
              lambda answer: promise(answer.status == 202, "202"))
    tour.step("What was counted.", f"curl -s {tour.url}/metrics | grep '^gateway_function_invocation_total'",
              lambda answer: promise(b'function_name="sha512sum.openfaas-fn"' in answer.output, "a count of sha512sum.openfaas-fn"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--stay", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    state = os.path.relpath(os.environ["SLUICE_STATE"])
    tour = Tour(os.environ["SLUICE_STATE"] if state.startswith("..") else state, os.environ["OPENFAAS_URL"])
    for steps in (deploy_steps, sync_steps, async_steps, webhook_steps, refused_steps, namespace_steps):
        steps(tour)
    if tour.broken:
        tour.say("\nNot as promised: " + "; ".join(tour.broken))
    else:
        tour.say("\nEach step answered as promised." + (f" Left out: {len(tour.left_out)}." if tour.left_out else ""))
    if options.stay:
        tour.staying = True
        tour.say(f"Callbacks to {tour.receiver.url} are shown here as they come. Ctrl-C stops everything.")
        signal.pause()
    return 1 if options.check and tour.broken else 0


if __name__ == "__main__":
    sys.exit(main())
