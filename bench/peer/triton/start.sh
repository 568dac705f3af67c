#!/usr/bin/env bash
# Triton as pytriton ships it: the Python backend, with dynamic batching.
set -euo pipefail
export PYTRITON_HOME=$WORK/home
exec "$VENV/bin/python" "$(dirname "$0")/serve.py"
