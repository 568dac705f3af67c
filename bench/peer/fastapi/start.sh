#!/usr/bin/env bash
# FastAPI around ONNX Runtime: no log, no checks, what a team writes in an afternoon.
set -euo pipefail
cd "$(dirname "$0")"
exec "$VENV/bin/uvicorn" serve:app --host 127.0.0.1 --port "$PORT" --log-level error
