#!/usr/bin/env bash
# Ray Serve on a cluster of its own, one replica.
set -euo pipefail
export RAY_USAGE_STATS_ENABLED=0 RAY_TMPDIR=$WORK
exec "$VENV/bin/python" "$(dirname "$0")/serve.py"
