import os

import bentoml
import lightgbm
import numpy as np


@bentoml.service(workers=1, traffic={"timeout": 10})
class Scores:
    def __init__(self):
        self.booster = lightgbm.Booster(model_file=os.environ["MODEL"] + "/model.txt")

    @bentoml.api
    def predict(self, input: np.ndarray) -> np.ndarray:
        return self.booster.predict(input, num_threads=1)
