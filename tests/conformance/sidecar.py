"""A forwarder on loopback that puts the bearer token on every request.

mlflow's scoring client knows neither tokens nor any path but /invocations: users put it behind a sidecar like this one.
"""

import contextlib
import http.server
import threading
import urllib.error
import urllib.request

import endpoint


class _Forward(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self._forward(None)

    def do_POST(self):
        self._forward(self.rfile.read(int(self.headers["Content-Length"])))

    def _forward(self, body):
        path = f"/endpoints/{endpoint.NAME}/invocations" if self.path == "/invocations" else self.path
        headers = dict(endpoint.BEARER)
        if "Content-Type" in self.headers:
            headers["Content-Type"] = self.headers["Content-Type"]
        try:
            answer = urllib.request.urlopen(urllib.request.Request(endpoint.URL + path, body, headers), timeout=10)
        except urllib.error.HTTPError as error:
            answer = error
        content = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def sidecar():
    """Runs it and gives its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Forward) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
