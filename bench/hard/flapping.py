"""An Open Inference Protocol server that comes and goes. Usage: flapping.py MODEL.txt

It prints its address and is well until a line comes in. From then on it is well for ten seconds, then in turn answers
503, answers nothing at all, and closes its port; each for five.
"""

import http.server
import itertools
import json
import sys
import threading
import time

import lightgbm
import numpy as np

WELL_S, ILL_S = 10, 5
ILLS = ("refuses", "hangs", "is gone")
MODEL = "far"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *_):
        pass

    def answer(self, document, status=200):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def respond(self, document):
        state = self.server.state
        if state == "refuses":
            self.answer({"error": "not now"}, 503)
        elif state == "well":
            self.answer(document)
        else:
            # Until the state changes; the one that asks has given up long before.
            while self.server.state == state:
                time.sleep(0.1)
            self.close_connection = True

    def do_GET(self):
        tensor = lambda name, shape: {"name": name, "datatype": "FP64", "shape": shape}
        if self.path.endswith("/ready"):
            self.respond({"ready": True})
        else:
            inputs = [tensor("input", [-1, self.server.model.num_feature()])]
            self.respond({"name": MODEL, "platform": "flapping", "inputs": inputs, "outputs": [tensor("score", [-1])]})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        values = request["inputs"][0]
        matrix = np.array(values["data"], dtype=float).reshape(values["shape"])
        scores = self.server.model.predict(matrix, num_threads=1).tolist()
        output = {"name": "score", "datatype": "FP64", "shape": [len(scores)], "data": scores}
        self.respond({"model_name": MODEL, "outputs": [output]})


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, model):
        super().__init__(("127.0.0.1", port), Handler)
        self.model, self.state = model, "well"


def listen(port, model):
    listener = Listener(port, model)
    threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return listener


def close(listener):
    listener.shutdown()
    listener.server_close()


def main():
    listener = listen(0, lightgbm.Booster(model_file=sys.argv[1]))
    port = listener.server_address[1]
    print(f"http://127.0.0.1:{port}", flush=True)
    sys.stdin.readline()
    for ill in itertools.cycle(ILLS):
        time.sleep(WELL_S)
        listener.state = ill
        if ill == "is gone":
            close(listener)
            time.sleep(ILL_S)
            listener = listen(port, listener.model)
        else:
            time.sleep(ILL_S)
        listener.state = "well"


main()
