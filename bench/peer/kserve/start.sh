#!/usr/bin/env bash
# The model server of the KServe SDK, one worker, REST only.
set -euo pipefail
exec "$VENV/bin/python" "$(dirname "$0")/serve.py"
