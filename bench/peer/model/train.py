"""Trains the model that every peer serves, and writes the request bodies. Usage: train.py FOLDER

LightGBM, binary, 20 features, 200 trees of 31 leaves, on 50,000 rows drawn from a fixed seed. FOLDER gets model.txt,
lgbm.onnx (the same model in float32), history.parquet (the rows,
spread over two years, as the data set of an endpoint), answer.json (the library's own probability of the row in the bodies) and three
bodies: tensor.json (Open Inference Protocol), split.json (MLflow's dataframe_split) and rows.json ({"input": [[…]]}).
"""

import json
import pathlib
import sys

import lightgbm
import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet
from onnxmltools.convert import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

ROWS, FEATURES = 50_000, 20

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)

random = np.random.default_rng(7)
x = random.normal(size=(ROWS, FEATURES)).astype(np.float32)
logit = (
    x @ random.normal(size=FEATURES) + 1.5 * np.sin(2 * x[:, 0]) * x[:, 1] + x[:, 2] ** 2 - 1 + 0.5 * x[:, 3] * x[:, 4]
)
y = random.random(ROWS) < 1 / (1 + np.exp(-logit))

classifier = lightgbm.LGBMClassifier(
    n_estimators=200, num_leaves=31, learning_rate=0.05, n_jobs=2, random_state=7, verbose=-1
)
classifier.fit(x, y.astype(int))
classifier.booster_.save_model(folder / "model.txt")
converted = convert_lightgbm(
    classifier, initial_types=[("input", FloatTensorType([None, FEATURES]))], target_opset=15, zipmap=False
)
onnx.save(converted, folder / "lgbm.onnx")

days = np.datetime64("2023-01-01") + (np.arange(ROWS) * 730 // ROWS).astype("timedelta64[D]")
columns = {f"Column_{i}": x[:, i].astype(np.float64) for i in range(FEATURES)}
outcome = np.where(y, "yes", "no")
pyarrow.parquet.write_table(pa.table({"day": days, **columns, "bought": outcome}), folder / "history.parquet")

row = random.normal(size=FEATURES).astype(np.float32)
values = row.tolist()
bodies = {
    "tensor": {"inputs": [{"name": "input", "shape": [1, FEATURES], "datatype": "FP32", "data": values}]},
    "split": {"dataframe_split": {"columns": [f"Column_{i}" for i in range(FEATURES)], "data": [values]}},
    "rows": {"input": [values]},
}
for name, body in bodies.items():
    (folder / f"{name}.json").write_text(json.dumps(body))
(folder / "answer.json").write_text(json.dumps(float(classifier.predict_proba(row.reshape(1, -1))[0, 1])))
