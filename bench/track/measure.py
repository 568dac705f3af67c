"""The calls of a tracking server, one client on one connection: processor time of the server and time of the client.

All of them are MLflow's REST interface, so that any server that speaks it can be measured.
"""

import http.client
import json
import time

API = "/api/2.0/mlflow/"
BATCHES = 40
SINGLES = 400
SEARCHES = 10


class Client:
    def __init__(self, port, token):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self.headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def __call__(self, method, path, body=None):
        data = None if body is None else json.dumps(body)
        for again in (True, False):
            try:
                self.connection.request(method, API + path, data, self.headers)
                answer = self.connection.getresponse()
                text = answer.read()
                break
            except (http.client.RemoteDisconnected, ConnectionError):
                # A server may close a connection that was quiet.
                self.connection.close()
                if not again:
                    raise
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}: {text[:300]}")
        return json.loads(text)


def timed(found, name, times, spent, act):
    """Calls `act` with 0, 1, …; milliseconds of the server's processors and of the client's clock for each call."""
    before, began = spent(), time.perf_counter()
    for number in range(times):
        act(number)
    took = time.perf_counter() - began
    found[f"{name}, CPU ms"] = (spent() - before) * 1e3 / times
    found[f"{name}, ms"] = took * 1e3 / times


def all_of(port, token, spent, runs):
    ask = Client(port, token)
    experiment = ask("POST", "experiments/create", {"name": f"bench {time.time_ns()}"})["experiment_id"]
    now = int(time.time() * 1_000)

    def begin(number=0):
        tags = [{"key": "team", "value": f"t{number % 5}"}]
        wish = {"experiment_id": experiment, "start_time": now + number, "run_name": f"r{number}", "tags": tags}
        return ask("POST", "runs/create", wish)["run"]["info"]["run_id"]

    def point(key, value, step):
        return {"key": key, "value": value, "timestamp": now + step, "step": step}

    found = {}
    run = begin()

    def batch(number):
        metrics = [point(f"m{n % 10}", float(n), number * 100 + n // 10) for n in range(1_000)]
        ask("POST", "runs/log-batch", {"run_id": run, "metrics": metrics})

    timed(found, "log_batch of 1,000 metrics", BATCHES, spent, batch)
    single = lambda number: ask("POST", "runs/log-metric", {"run_id": run, **point("loss", number / 7, number)})
    timed(found, "log_metric", SINGLES, spent, single)

    def whole(number):
        """A run with five metrics, five parameters and its end: four calls."""
        id = begin(number)
        metrics = [point("acc" if n == 0 else f"m{n}", (number * 7_919 % 10_007) / 10_007, 0) for n in range(5)]
        params = [{"key": f"p{n}", "value": str(number % (n + 2))} for n in range(5)]
        ask("POST", "runs/log-batch", {"run_id": id, "metrics": metrics, "params": params})
        ask("POST", "runs/update", {"run_id": id, "status": "FINISHED", "end_time": now})

    timed(found, "a whole run", runs, spent, whole)
    for name, question in {
        "search, a page of 100": {},
        "search, ordered by a metric": {"order_by": ["metrics.acc DESC"]},
        "search, filter of metric and parameter": {"filter": "metrics.acc > 0.5 and params.p3 = '2'"},
    }.items():
        asked = {"experiment_ids": [experiment], "max_results": 100, **question}
        timed(found, name, SEARCHES, spent, lambda _, asked=asked: ask("POST", "runs/search", asked))
    history = f"metrics/get-history?run_id={run}&metric_key=loss"
    timed(found, f"history of {SINGLES} points", SEARCHES, spent, lambda _: ask("GET", history))
    return found
