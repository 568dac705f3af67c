"""A model of the benchmark's data with ten times the trees. Usage: slow_model.py HISTORY FILE"""

import sys

import lightgbm
import numpy as np
import pyarrow.parquet

history = pyarrow.parquet.read_table(sys.argv[1]).slice(0, 5_000)
x = np.column_stack([history[f"Column_{i}"].to_numpy() for i in range(20)])
classifier = lightgbm.LGBMClassifier(
    n_estimators=2_000, num_leaves=31, learning_rate=0.005, n_jobs=2, random_state=8, verbose=-1
)
classifier.fit(x, [int(cell == "yes") for cell in history["bought"].to_pylist()])
classifier.booster_.save_model(sys.argv[2])
