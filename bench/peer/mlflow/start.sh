#!/usr/bin/env bash
# MLflow's scoring server, one worker, with the signature that checks the columns.
set -euo pipefail
"$VENV/bin/python" "$(dirname "$0")/save.py" "$MODEL" "$WORK/model"
exec "$VENV/bin/mlflow" models serve --model-uri "$WORK/model" --host 127.0.0.1 --port "$PORT" --env-manager local --workers 1
