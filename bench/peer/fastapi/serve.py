import os

import numpy as np
import onnxruntime
from fastapi import FastAPI, Request

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 3
session = onnxruntime.InferenceSession(os.environ["MODEL"] + "/lgbm.onnx", options)
app = FastAPI()


@app.post("/predict")
async def predict(request: Request):
    rows = np.asarray((await request.json())["input"], dtype=np.float32)
    return session.run(["probabilities"], {"input": rows})[0][:, 1].tolist()
