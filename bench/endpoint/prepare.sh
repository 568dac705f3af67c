# shellcheck shell=bash
# What bench/soak, bench/overload, bench/ladder and bench/disk start from. It is sourced, never run: builds Greenlight as
# it is shipped, trains the peers' model, releases it to an endpoint named bench, and sets greenlight, load, echo, python
# and work, a folder that goes with the script. GREENLIGHT, LOAD and ECHO name programs that are built already.

source "$(dirname "${BASH_SOURCE[0]}")/../../script/lib.sh"
cd "$root"

if [[ -z ${GREENLIGHT:-} || -z ${LOAD:-} ]]; then
    need_cargo
    step "release build" build_release
fi
greenlight=${GREENLIGHT:-$CARGO_TARGET_DIR/release/greenlight}
# shellcheck disable=SC2034 # for the scripts that source this
load=${LOAD:-$CARGO_TARGET_DIR/release/examples/load} echo=${ECHO:-$CARGO_TARGET_DIR/release/examples/echo}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

printf '==> the model, trained and released\n' >&2
python=$(script/venv bench-model bench/peer/model/requirements.txt)/bin/python
"$python" bench/peer/model/train.py "$work/model"
python3 bench/endpoint/release.py "$greenlight" "$work/model" "$work" 2>"$work/release.log" || {
    cat "$work/release.log" >&2
    exit 1
}
