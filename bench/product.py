"""Sluice itself, as `sluice up` starts it, in a state folder of its own; and the tools around it."""

import base64
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request

import processes
from processes import BenchError, Snapshot, start, stop, wait_for

# Programs below `sluice up` that are a function's and not the product's.
FUNCTION_PROGRAMS = ("bench_responder",)
STOP_GRACE_S = 45  # running calls get 30 s


def request(url, method="GET", body=None, headers=None, timeout_s=10):
    """(status, body). Errors of the connection are BenchErrors."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    asked = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json", **(headers or {})})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=timeout_s) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        raise BenchError(f"{method} {url}: {error}") from error


class Responder:
    """bench_responder, as function or as receiver of callbacks. `control_port` is where its counts are read."""

    def __init__(self, program, kind):
        self.process = start([program, "--port", "0", "--kind", kind], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline().strip()
        if not line:
            raise BenchError(f"{program} printed no port")
        self.port = self.control_port = int(line)

    def stop(self):
        stop(self.process, 2)


def reset(control_port, run=0, count=0):
    request(f"http://127.0.0.1:{control_port}/bench/reset?run={run}&count={count}", "POST", b"")


def counts(control_port):
    return json.loads(request(f"http://127.0.0.1:{control_port}/bench/count")[1])


def starts(control_port):
    return json.loads(request(f"http://127.0.0.1:{control_port}/bench/starts")[1])


class Sluice:
    """`sluice up` with one static function `bench`; its gateway's port is any free one."""

    def __init__(self, binary, folder, function_port, options):
        self.state = os.path.join(folder, "state")
        self.log_path = os.path.join(folder, "up.log")
        self.known = {}
        command = [binary, "up", "--state", self.state, "--listen", "127.0.0.1:0", "--log-level", "warn"]
        command += ["--static-function", f"bench=http://127.0.0.1:{function_port},max_inflight={options.max_inflight}"]
        command += [word for text in options.up_option for word in text.split()]
        self.command = " ".join(["sluice"] + command[1:]) # where it was built says nothing
        with open(self.log_path, "wb") as log:
            self.process = start(command, stdout=log, stderr=subprocess.STDOUT)
        self.port = 0

    def wait_ready(self, timeout_s=60):
        path = os.path.join(self.state, "run", "gateway.ready")
        wait_for(lambda: self.process.poll() is not None or os.path.exists(path), timeout_s, f"{path} (log: {self.log_tail()})")
        if self.process.poll() is not None:
            raise BenchError(f"sluice up exited with {self.process.returncode}: {self.log_tail()}")
        with open(path, encoding="ascii") as file:
            self.port = int(file.read().strip().rsplit(":", 1)[1])
        self.wait_function("bench", timeout_s)

    def wait_function(self, name, timeout_s=60):
        """Until a call reaches a replica of it, by the synchronous door."""
        url = f"http://127.0.0.1:{self.port}/function/{name}"

        def reached():
            if self.process.poll() is not None:
                raise BenchError(f"sluice up exited with {self.process.returncode}: {self.log_tail()}")
            try:
                return request(url, "POST", b"", timeout_s=5)[0] == 200
            except BenchError:
                return False

        wait_for(reached, timeout_s, f"function {name} to answer; log: {self.log_tail()}", 0.2)
        self.note_processes()

    def deploy_behind_watchdog(self, name, program, control_port, max_inflight):
        """The responder as a replica of ours: a watchdog in http mode starts it and tells it its port in $PORT."""
        body = {
            "service": name,
            "image": "bench",
            "envProcess": f"{program} --control-port {control_port}",
            "envVars": {"mode": "http", "max_inflight": str(max_inflight)},
        }
        status, text = request(f"http://127.0.0.1:{self.port}/system/functions", "POST", body, self._authorization(), 30)
        if status not in (200, 202):
            raise BenchError(f"deploying {name}: {status} {text[:300]!r}")
        self.wait_function(name)

    def _authorization(self):
        words = []
        for name in ("basic-auth-user", "basic-auth-password"):
            path = os.path.join(self.state, "secrets", name)
            if not os.path.exists(path):
                return {}
            with open(path, encoding="utf-8") as file:
                words.append(file.read().strip())
        return {"Authorization": "Basic " + base64.b64encode(":".join(words).encode()).decode()}

    def snapshot(self):
        return Snapshot(self.process.pid, FUNCTION_PROGRAMS)

    def note_processes(self):
        """Remembers what runs, so that stop() can end what a crash left behind."""
        self.known.update(processes.identities(processes.descendants(self.process.pid)))

    def log_tail(self):
        text = ""
        for folder, names in ((os.path.dirname(self.log_path), ["up.log"]), (os.path.join(self.state, "log"), None)):
            for name in names or (sorted(os.listdir(folder)) if os.path.isdir(folder) else []):
                path = os.path.join(folder, name)
                if os.path.isfile(path):
                    with open(path, encoding="utf-8", errors="replace") as file:
                        lines = file.read().strip().splitlines()[-3:]
                    text += "".join(f"\n  {name}: {line[:300]}" for line in lines)
        return text or "empty"

    def stop(self):
        """What did not end in order, in words; empty when all was well."""
        if self.process.poll() is None:
            self.note_processes()
        in_order = stop(self.process, STOP_GRACE_S)
        left = processes.kill_left(self.known)
        said = [] if in_order else [f"sluice up did not end within {STOP_GRACE_S} s of SIGTERM"]
        if left:
            said.append("left running by sluice up: " + ", ".join(left))
        return "; ".join(said)


def install_responder(program, folder):
    """A copy where an unprivileged function user may read and execute it."""
    target = os.path.join(folder, os.path.basename(program))
    shutil.copy(program, target)
    os.chmod(target, 0o755)
    return target
