"""Saves the model in MLflow's own format. Usage: save.py MODEL FOLDER"""

import sys

import lightgbm
import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature

model = lightgbm.Booster(model_file=f"{sys.argv[1]}/model.txt")
rows = pd.DataFrame(np.zeros((5, 20)), columns=[f"Column_{i}" for i in range(20)])
mlflow.lightgbm.save_model(model, sys.argv[2], signature=infer_signature(rows, model.predict(rows)))
