"""Takes callbacks on a free port of loopback, for the tour."""
import http.server
import threading


class Callback:
    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body


class CallbackReceiver:
    """Any thread. `on_callback` is called on the receiver's threads, after the callback can be found by its X-Call-Id."""

    def __init__(self, on_callback=lambda callback: None):
        self.on_callback = on_callback
        self.received = {}  # X-Call-Id -> Callback
        self.arrived = threading.Condition()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.take(Callback(self.path, self.headers, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, callback):
        with self.arrived:
            self.received[callback.headers.get("X-Call-Id", "")] = callback
            self.arrived.notify_all()
        self.on_callback(callback)

    def wait(self, call_id, seconds):
        """The callback of this call, or None."""
        with self.arrived:
            self.arrived.wait_for(lambda: call_id in self.received, seconds)
            return self.received.get(call_id)
