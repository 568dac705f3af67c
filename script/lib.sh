# shellcheck shell=bash
# What the scripts beside this file share. It is sourced, never run:
#
#     source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
#
# A `need_…` function makes sure of one thing and is silent when there is nothing to do. What it cannot put right it
# explains, with the next step.

set -euo pipefail

# shellcheck disable=SC2034 # for the scripts that source this
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Outside the checkout, so that a fresh clone of the project finds its dependencies compiled.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/greenlight/target}"

# Checkouts share this folder, and cargo tells sources apart by their time, not by their content: what another checkout
# built later looks fresh here. So our own sources are touched when the folder was last used by another checkout.
claim_target() {
    mkdir -p "$CARGO_TARGET_DIR"
    if [[ $(cat "$CARGO_TARGET_DIR/.checkout" 2>/dev/null || true) != "$root" ]]; then
        find "$root/crates" "$root/xtask" -type f -exec touch {} +
        printf '%s' "$root" >"$CARGO_TARGET_DIR/.checkout"
    fi
}
claim_target

readonly rust_needed=1.95
readonly nextest_version=0.9.143

# --- Saying what happens ---------------------------------------------------------------------------------------

# fail MESSAGE NEXT_STEP
fail() {
    printf 'error: %s\n' "$1" >&2
    printf ' hint: %s\n' "$2" >&2
    exit 1
}

current_step=
step_started=0
step_names=()
step_seconds=()

# build_release: Greenlight as it is shipped, and the programs that the benchmarks load it with. A profile of its own, whose
# dependencies are compiled once more (half an hour on two cores).
build_release() {
    cargo build --release --quiet --locked --workspace --bin greenlight --examples
}

# step NAME COMMAND…: runs one step of a script and keeps the time that it took.
step() {
    current_step=$1
    step_started=$SECONDS
    shift
    printf '==> %s\n' "$current_step"
    # No `|| …` here: it would switch `set -e` off inside the step. A failure is reported by on_exit.
    "$@"
    local seconds=$((SECONDS - step_started))
    printf '    %s took %s s\n' "$current_step" "$seconds"
    step_names+=("$current_step")
    step_seconds+=("$seconds")
    current_step=
}

summary() {
    local index total=0
    printf '==> all steps passed\n'
    for index in "${!step_names[@]}"; do
        printf '    %6s s  %s\n' "${step_seconds[$index]}" "${step_names[$index]}"
        total=$((total + step_seconds[index]))
    done
    printf '    %6s s  in all\n' "$total"
}

on_exit() {
    local status=$?
    if [[ $status -ne 0 && -n $current_step ]]; then
        printf '==> %s failed after %s s\n' "$current_step" "$((SECONDS - step_started))" >&2
    fi
    stop_postgres
    stop_redis
    exit "$status"
}
trap on_exit EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# --- Installing what is missing --------------------------------------------------------------------------------

as_root() {
    if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

# apt_install WHAT PACKAGE…: on Debian and its relatives; elsewhere it says what to install.
apt_install() {
    local what=$1 log
    shift
    if ! command -v apt-get >/dev/null; then
        fail "$what is not installed" "install it with your system's package manager, then run this again"
    fi
    if [[ $EUID -ne 0 ]] && ! command -v sudo >/dev/null; then
        fail "$what is not installed, and installing it needs root" "as root: apt-get install $*"
    fi
    printf '==> installing %s: apt-get install %s\n' "$what" "$*"
    log=$(mktemp)
    # Lists that are a little old still name the package, so a failed update alone is no reason to stop.
    as_root apt-get update -qq >"$log" 2>&1 || true
    if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends \
        -o DPkg::Lock::Timeout=120 "$@" >>"$log" 2>&1 </dev/null; then
        tail -n 30 "$log" >&2
        rm -f "$log"
        fail "apt-get could not install $*" "read its message above; install $what by hand, then run this again"
    fi
    rm -f "$log"
}

need_linker_tools() {
    if command -v cc >/dev/null; then return; fi
    if [[ $(uname -s) == Darwin ]]; then
        fail "there is no C compiler" "run: xcode-select --install"
    fi
    apt_install "a C compiler" build-essential
    command -v cc >/dev/null || fail "there is still no C compiler named cc" "run: apt-get install --reinstall gcc"
}

# is_new_enough COMMAND…: does it say that it is Rust $rust_needed or newer?
is_new_enough() {
    local version major minor
    version=$("$@" 2>/dev/null) || return 1
    IFS=. read -r major minor _ <<<"${version#rustc }"
    [[ $major =~ ^[0-9]+$ && $minor =~ ^[0-9]+$ ]] || return 1
    ((major > ${rust_needed%.*} || (major == ${rust_needed%.*} && minor >= ${rust_needed#*.})))
}

# Runs in the root of the checkout, where rustup sees rust-toolchain.toml.
need_cargo() {
    local bin="${CARGO_HOME:-$HOME/.cargo}/bin"
    if [[ -d $bin && :$PATH: != *:$bin:* ]]; then
        export PATH="$PATH:$bin"
    fi
    if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
        fail "Rust is not installed" \
            "install Rust $rust_needed or newer with rustup (https://rustup.rs), then run this again"
    fi
    if is_new_enough rustc --version; then return; fi
    # The toolchain that rust-toolchain.toml names is absent and could not be fetched: an installed stable will do.
    if is_new_enough env RUSTUP_TOOLCHAIN=stable rustc --version; then
        export RUSTUP_TOOLCHAIN=stable
        return
    fi
    fail "Greenlight needs Rust $rust_needed or newer; this is $(rustc --version 2>&1 | head -n 1)" \
        "run: rustup update stable"
}

need_nextest() {
    if cargo nextest --version >/dev/null 2>&1; then return; fi
    # Unoptimised: it is compiled in half the time, and it spends its days waiting for tests.
    step "install cargo-nextest" cargo install --debug --locked "cargo-nextest@$nextest_version"
}

# --- ONNX Runtime ----------------------------------------------------------------------------------------------

# Exports ORT_DYLIB_PATH: the shared library of the Python package, which is kept outside the checkout. Where that
# variable is already set, that library is used.
need_onnxruntime() {
    if [[ -n ${ORT_DYLIB_PATH:-} ]]; then return; fi
    command -v python3 >/dev/null || apt_install "Python" python3 python3-venv
    local environment found
    environment=$("$root/script/venv" onnxruntime "$root/tests/onnxruntime.txt")
    found=$(find "$environment/lib" -path '*/onnxruntime/capi/libonnxruntime.so*' -o \
        -path '*/onnxruntime/capi/libonnxruntime*.dylib' | sort | head -n 1)
    if [[ -z $found ]]; then
        fail "the package onnxruntime has no shared library in $environment" \
            "set ORT_DYLIB_PATH to a libonnxruntime.so of your own, 1.17 or newer"
    fi
    export ORT_DYLIB_PATH=$found
}

# --- A throw-away PostgreSQL -----------------------------------------------------------------------------------

postgres_bin=
postgres_folder=
postgres_user=

# Sets postgres_bin to the folder of the newest server that is complete.
find_postgres() {
    local candidate
    while read -r candidate; do
        if [[ -x $candidate/initdb && -x $candidate/postgres && -x $candidate/pg_ctl ]]; then
            postgres_bin=$candidate
            return 0
        fi
    done < <(
        if command -v pg_ctl >/dev/null; then dirname "$(command -v pg_ctl)"; fi
        printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin | sort -rV
    )
    return 1
}

need_postgres() {
    if [[ -n ${GREENLIGHT_TEST_POSTGRES_URL:-} ]] || find_postgres; then return; fi
    # Debian's package makes a cluster for the whole machine and starts it, unless it is told not to.
    local settings=/etc/postgresql-common/createcluster.d
    if command -v apt-get >/dev/null && { [[ $EUID -eq 0 ]] || command -v sudo >/dev/null; }; then
        as_root mkdir -p "$settings"
        as_root sh -c "echo 'create_main_cluster = off' >'$settings/greenlight.conf'"
    fi
    apt_install "the PostgreSQL server" postgresql
    as_root rm -f "$settings/greenlight.conf"
    find_postgres || fail "PostgreSQL was installed, but its initdb, postgres and pg_ctl were not found" \
        "put the folder that holds them into PATH, or set GREENLIGHT_TEST_POSTGRES_URL to a server of your own"
}

# PostgreSQL refuses to run as root.
as_postgres() {
    if [[ $EUID -ne 0 ]]; then
        "$@"
    elif command -v runuser >/dev/null; then
        (cd "$postgres_folder" && runuser -u "$postgres_user" -- "$@")
    else
        (cd "$postgres_folder" && su -s /bin/sh "$postgres_user" -c "$(printf '%q ' "$@")")
    fi
}

# Starts a cluster of its own in a temporary folder, on loopback only and behind a password of its own, and exports
# GREENLIGHT_TEST_POSTGRES_URL. It ends with the script. Where that variable is already set, that server is used.
start_postgres() {
    if [[ -n ${GREENLIGHT_TEST_POSTGRES_URL:-} ]]; then return; fi
    if [[ -z $postgres_bin ]]; then need_postgres; fi
    local data log password port
    # Not below TMPDIR: another user may have to reach it.
    postgres_folder=$(mktemp -d /tmp/greenlight-postgres.XXXXXX)
    data=$postgres_folder/data
    log=$postgres_folder/log
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s\n' "$password" >"$postgres_folder/password"
    if [[ $EUID -eq 0 ]]; then
        postgres_user=postgres
        id -u postgres >/dev/null 2>&1 || postgres_user=nobody
        chown -R "$postgres_user" "$postgres_folder"
    fi
    as_postgres "$postgres_bin/initdb" --pgdata="$data" --username=greenlight --pwfile="$postgres_folder/password" \
        --auth-host=scram-sha-256 --auth-local=reject --encoding=UTF8 --locale=C --no-sync >"$log" 2>&1 ||
        postgres_failed "$log" "initdb failed"
    postgres_settings >>"$data/postgresql.conf"
    as_postgres "$postgres_bin/postgres" --single -D "$data" postgres <<<'CREATE DATABASE greenlight' >"$log" 2>&1 ||
        postgres_failed "$log" "PostgreSQL could not make a database"
    # The server itself finds out whether a port is free; asking beforehand would leave a gap.
    for _ in {1..10}; do
        port=$((20000 + RANDOM % 12000))
        rm -f "$postgres_folder/server"
        if as_postgres "$postgres_bin/pg_ctl" start --pgdata="$data" --log="$postgres_folder/server" --wait \
            --timeout=60 --options="-p $port" >"$log" 2>&1; then
            export GREENLIGHT_TEST_POSTGRES_URL="postgres://greenlight:$password@127.0.0.1:$port/greenlight"
            return
        fi
        grep -q 'already in use' "$postgres_folder/server" || break
    done
    postgres_failed "$postgres_folder/server" "PostgreSQL did not start"
}

# A test database is made anew each time, so nothing has to survive a power cut.
postgres_settings() {
    cat <<'EOF'
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = '64MB'
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
timezone = 'UTC'
EOF
}

# postgres_failed LOG MESSAGE
postgres_failed() {
    tail -n 20 "$1" >&2 || true
    fail "$2" "read its message above, or set GREENLIGHT_TEST_POSTGRES_URL to a server of your own"
}

# Stops our own server by its process id and removes its folder. Safe to call at any time, more than once.
stop_postgres() {
    if [[ -z $postgres_folder ]]; then return; fi
    local pid_file=$postgres_folder/data/postmaster.pid pid
    if [[ -f $pid_file ]] && read -r pid <"$pid_file" && [[ $pid =~ ^[0-9]+$ ]]; then
        kill -INT "$pid" 2>/dev/null || true
        # It removes the file as its last act: ten seconds, then without ceremony.
        for _ in {1..100}; do
            [[ -e $pid_file ]] || break
            sleep 0.1
        done
        if [[ -e $pid_file ]]; then kill -KILL "$pid" 2>/dev/null || true; fi
    fi
    rm -rf "$postgres_folder"
    postgres_folder=
}

# --- A throw-away Redis ----------------------------------------------------------------------------------------

redis_folder=
redis_pid=

# Prints the server's command: Redis, or Valkey, which speaks the same.
find_redis() {
    command -v redis-server || command -v valkey-server
}

need_redis() {
    if [[ -n ${GREENLIGHT_TEST_REDIS_URL:-} ]] || find_redis >/dev/null; then return; fi
    # Debian's package starts a server for the whole machine, unless this file says that services are not started.
    local policy=/usr/sbin/policy-rc.d ours=false
    if command -v apt-get >/dev/null && [[ ! -e $policy ]] && { [[ $EUID -eq 0 ]] || command -v sudo >/dev/null; }; then
        as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
        ours=true
    fi
    # In a subshell, so that the file goes even when the installation fails and ends the script.
    local status=0
    (trap - EXIT && apt_install "the Redis server" redis-server) || status=$?
    if $ours; then as_root rm -f "$policy"; fi
    if [[ $status -ne 0 ]]; then exit "$status"; fi
    find_redis >/dev/null || fail "Redis was installed, but redis-server was not found" \
        "put the folder that holds it into PATH, or set GREENLIGHT_TEST_REDIS_URL to a server of your own"
}

# Starts a server of its own, on loopback only and behind a password of its own, and exports
# GREENLIGHT_TEST_REDIS_URL. It ends with the script. Where that variable is already set, that server is used.
start_redis() {
    if [[ -n ${GREENLIGHT_TEST_REDIS_URL:-} ]]; then return; fi
    need_redis
    local server password port
    server=$(find_redis)
    redis_folder=$(mktemp -d /tmp/greenlight-redis.XXXXXX)
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    # The server itself finds out whether a port is free; asking beforehand would leave a gap.
    for _ in {1..10}; do
        port=$((20000 + RANDOM % 12000))
        redis_settings "$port" "$password" >"$redis_folder/redis.conf"
        "$server" "$redis_folder/redis.conf" >"$redis_folder/log" 2>&1 &
        redis_pid=$!
        for _ in {1..100}; do
            if grep -q 'Ready to accept connections' "$redis_folder/log"; then
                export GREENLIGHT_TEST_REDIS_URL="redis://:$password@127.0.0.1:$port"
                return
            fi
            kill -0 "$redis_pid" 2>/dev/null || break
            sleep 0.1
        done
        kill "$redis_pid" 2>/dev/null || true
        redis_pid=
        grep -qi 'address already in use' "$redis_folder/log" || break
    done
    tail -n 20 "$redis_folder/log" >&2 || true
    fail "Redis did not start" \
        "read its message above, or set GREENLIGHT_TEST_REDIS_URL to a server of your own"
}

# redis_settings PORT PASSWORD: nothing has to survive the tests, so nothing is written to disk.
redis_settings() {
    cat <<EOF
port $1
bind 127.0.0.1
requirepass $2
dir $redis_folder
save ""
appendonly no
daemonize no
EOF
}

# Stops our own server by its process id and removes its folder. Safe to call at any time, more than once.
stop_redis() {
    if [[ -z $redis_folder ]]; then return; fi
    if [[ -n $redis_pid ]]; then
        kill "$redis_pid" 2>/dev/null || true
        wait "$redis_pid" 2>/dev/null || true
    fi
    rm -rf "$redis_folder"
    redis_folder=
    redis_pid=
}
