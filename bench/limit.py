"""The limit to compare with: one nginx worker that answers 200 at once, loaded by one thread of wrk. No queue, no store."""

import json
import os
import socket

from processes import BenchError, run, start, stop, wait_for

CONFIG = """\
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.error warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    keepalive_timeout 3600s;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ default_type text/plain; return 200 "{body}"; }}
    }}
}}
"""

SCRIPT = """\
wrk.method = "POST"
wrk.body = string.rep("x", 256)
wrk.headers["Content-Type"] = "text/plain"
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        '\\nRESULT {"requests":%d,"duration_us":%d,"broken":%d,"refused":%d,"p50_us":%d,"p99_us":%d,"max_us":%d}\\n',
        summary.requests, summary.duration, e.connect + e.read + e.write + e.timeout, e.status,
        latency:percentile(50), latency:percentile(99), latency.max))
end
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


class Nginx:
    """The limit's server. master_process off: the one process is the worker."""

    def __init__(self, folder):
        self.port = free_port()
        path = os.path.join(folder, "nginx.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(CONFIG.format(folder=folder, port=self.port, body="y" * 256))
        self.process = start(["nginx", "-p", folder, "-c", path])

    def wait_ready(self):
        wait_for(lambda: self.process.poll() is not None or answers(self.port), 10, "nginx to listen")
        if self.process.poll() is not None:
            raise BenchError(f"nginx exited with {self.process.returncode}")

    def stop(self):
        stop(self.process)


def wrk(folder, port, target, connections, seconds):
    """256 B POSTs from one thread: requests/s and latency. Any answer above 399 or broken connection fails the run."""
    script = os.path.join(folder, "post.lua")
    if not os.path.exists(script):
        with open(script, "w", encoding="ascii") as file:
            file.write(SCRIPT)
    url = f"http://127.0.0.1:{port}{target}"
    text = run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", script, url], seconds + 30)
    line = next((line for line in text.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise BenchError(f"wrk said nothing of use: {text[-300:]}")
    found = json.loads(line[len("RESULT ") :])
    if found["refused"] or found["broken"] or not found["requests"]:
        raise BenchError(f"{url}: {found['refused']} of {found['requests']} refused, {found['broken']} connections broken or late")
    return {
        "rps": found["requests"] / (found["duration_us"] / 1e6),
        "requests": found["requests"],
        "p50_ms": found["p50_us"] / 1e3,
        "p99_ms": found["p99_us"] / 1e3,
    }
