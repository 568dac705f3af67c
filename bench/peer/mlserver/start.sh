#!/usr/bin/env bash
# MLServer without worker processes, which is faster for a model this small. TUNED: without gzip and metrics.
set -euo pipefail
mkdir -p "$WORK/lgbm"
tuning=
if [[ -n ${TUNED:-} ]]; then tuning=', "gzip_enabled": false, "metrics_endpoint": null'; fi
cat >"$WORK/settings.json" <<JSON
{"host": "127.0.0.1", "http_port": $PORT, "grpc_port": $SECOND_PORT, "metrics_port": $THIRD_PORT,
 "metrics_dir": "$WORK/metrics", "debug": false, "parallel_workers": 0$tuning}
JSON
cat >"$WORK/lgbm/model-settings.json" <<JSON
{"name": "lgbm", "implementation": "mlserver_lightgbm.LightGBMModel",
 "parameters": {"uri": "$MODEL/model.txt", "version": "1"}}
JSON
exec "$VENV/bin/mlserver" start "$WORK"
