import os

import kserve
import lightgbm
from kserve import InferOutput, InferResponse


class Model(kserve.Model):
    def __init__(self):
        super().__init__("lgbm")
        self.booster = lightgbm.Booster(model_file=os.environ["MODEL"] + "/model.txt")
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        scores = self.booster.predict(payload.inputs[0].as_numpy(), num_threads=1)
        output = InferOutput("probability", [len(scores)], "FP64")
        output.set_data_from_numpy(scores, binary_data=False)
        return InferResponse(payload.id or "", "lgbm", [output])


if __name__ == "__main__":
    kserve.ModelServer(http_port=int(os.environ["PORT"]), workers=1, enable_grpc=False).start([Model()])
