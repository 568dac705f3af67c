import os
import time

import lightgbm
import numpy as np
import ray
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=64)
class Scores:
    def __init__(self, model):
        self.booster = lightgbm.Booster(model_file=model)

    async def __call__(self, request: Request):
        rows = np.asarray((await request.json())["input"], dtype=np.float32)
        return self.booster.predict(rows, num_threads=1).tolist()


ray.init(address="local", include_dashboard=False, num_cpus=2, _temp_dir=os.environ["WORK"])
serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
serve.run(Scores.bind(os.environ["MODEL"] + "/model.txt"), route_prefix="/")
while True:
    time.sleep(60)
