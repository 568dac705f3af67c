import os

import lightgbm
import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

booster = lightgbm.Booster(model_file=os.environ["MODEL"] + "/model.txt")


@batch
def infer(input):
    return {"probability": booster.predict(input, num_threads=1)[:, None]}


address = {"http_address": "127.0.0.1", "grpc_address": "127.0.0.1"}
ports = {
    "http_port": int(os.environ["PORT"]),
    "grpc_port": int(os.environ["SECOND_PORT"]),
    "metrics_port": int(os.environ["THIRD_PORT"]),
}
with Triton(config=TritonConfig(log_verbose=0, **address, **ports)) as triton:
    triton.bind(
        model_name="lgbm",
        infer_func=infer,
        inputs=[Tensor(name="input", dtype=np.float32, shape=(20,))],
        outputs=[Tensor(name="probability", dtype=np.float64, shape=(1,))],
        config=ModelConfig(max_batch_size=64, batcher=DynamicBatcher(max_queue_delay_microseconds=0)),
    )
    triton.serve()
