#!/usr/bin/env bash
# BentoML, one worker. TUNED: without metrics and access log.
set -euo pipefail
export BENTOML_HOME=$WORK/home BENTOML_DO_NOT_TRACK=True
if [[ -n ${TUNED:-} ]]; then
    export BENTOML_CONFIG_OPTIONS='api_server.metrics.enabled=false api_server.logging.access.enabled=false'
fi
cd "$(dirname "$0")"
exec "$VENV/bin/bentoml" serve serve:Scores --host 127.0.0.1 --port "$PORT"
