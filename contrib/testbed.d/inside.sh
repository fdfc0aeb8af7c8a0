# PID 1 of the bed: mounts, starts the services, runs CMD. Nothing here has to be undone: it all ends with the namespaces.
# shellcheck shell=bash

readonly WAIT_SECONDS=60 # for a manager to come up on a loaded machine
readonly GRACE_SECONDS=5 # between TERM and KILL for CMD

tmpfs() { mount -t tmpfs -o "mode=${2:-0755},nosuid,nodev" tmpfs "$1" || die "cannot mount a tmpfs on $1"; }

# Only what the bed needs is hidden; the rest of /run is the machine's.
mount_bed() {
    local resolve=''
    # The kernel refuses a cgroup2 right on top of another one, as of a pure-v2 machine.
    tmpfs /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup || die "cannot mount cgroup2 on /sys/fs/cgroup"
    mkdir -p /run/systemd
    # /etc/resolv.conf may be a link to there
    [[ -d /run/systemd/resolve ]] && exec {resolve}</run/systemd/resolve
    tmpfs /run/systemd
    if [[ $resolve ]]; then
        mkdir /run/systemd/resolve
        mount --bind "/proc/self/fd/$resolve" /run/systemd/resolve
        exec {resolve}<&-
    fi
    mkdir -m 0700 /run/systemd/bed
}

# service CGROUP NAME COMMAND...: with the environment and limits that PID 1 of a distribution gives (systemd 252)
service() {
    local dir=/sys/fs/cgroup/$1 name=$2 user shell
    shift 2
    mkdir -p "$dir"
    IFS=: read -r user _ _ _ _ _ shell < <(getent passwd "$UID")
    (
        echo 0 >"$dir/cgroup.procs"
        ulimit -Hn 524288 2>/dev/null # needs CAP_SYS_RESOURCE
        ulimit -Sn "${nofile:-1024}"
        cd ~ 2>/dev/null || cd /
        umask 0022
        exec env -i HOME=~ USER="$user" LOGNAME="$user" SHELL="$shell" LANG="${LANG:-C.UTF-8}" ${XDG_RUNTIME_DIR:+"XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR"} \
            setsid "$@" </dev/null >"/run/systemd/bed/$name.log" 2>&1 {env_fd}<&-
    ) &
}

wait_until() { # LABEL TEST...
    local label=$1 deadline=$((SECONDS + WAIT_SECONDS))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || die "$label is not there after $WAIT_SECONDS s: $(tail -qn 3 /run/systemd/bed/*.log | tr '\n' ' ')"
        sleep 0.01
    done
}

# ---- the bed on this release

start_journald() {
    local dir
    mkdir -p /run/log
    for dir in /run/log /var/log/journal; do # the machine's own journal: neither read nor written
        [[ -d $dir ]] && tmpfs "$dir"
    done
    if [[ ! -s /etc/machine-id ]]; then # journald does not start without one
        [[ -e /etc/machine-id ]] || : >/etc/machine-id
        tr -d - </proc/sys/kernel/random/uuid >/run/systemd/bed/machine-id
        mount --bind /run/systemd/bed/machine-id /etc/machine-id
    fi
    # `journalctl --user` reads user-UID.journal only, but users below 1000 log into the system journal (252).
    dir=/run/log/journal/$(</etc/machine-id)
    mkdir -p "$dir"
    ln -s system.journal "$dir/user-$UID.journal"
    # Audit= unset leaves the kernel's audit switch alone; the default turns it on for the whole machine.
    mkdir /run/systemd/journald.conf.d
    # One test may write as much as it likes without another's lines being dropped for it.
    printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=\nRateLimitIntervalSec=0\n%s' "$journald" >/run/systemd/journald.conf.d/testbed.conf
    # As its own unit has it. Of streams that it cannot take it loses all, and says nothing.
    nofile=hard service system.slice/systemd-journald.service journald /lib/systemd/systemd-journald
}

make_runtime_dir() {
    mkdir -p /run/user
    if [[ -d $XDG_RUNTIME_DIR ]]; then
        tmpfs "$XDG_RUNTIME_DIR" 0700
    else # not on the machine's own file system, where it would stay
        tmpfs /run/user
        mkdir -m 0700 "$XDG_RUNTIME_DIR"
    fi
}

manager_is_up() {
    local state
    state=$(timeout "$WAIT_SECONDS" systemctl --user is-system-running --wait 2>/dev/null)
    [[ $state == running || $state == degraded ]] &&
        busctl --user --quiet call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.DBus.Peer Ping 2>/dev/null
}

# The bus is the user manager's own dbus.socket and dbus.service, as after a login.
start_local() {
    local slice=user.slice/user-$UID.slice
    export XDG_RUNTIME_DIR=/run/user/$UID DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$UID/bus
    mkdir /run/systemd/system # "systemd runs here", see sd_booted(3)
    make_runtime_dir
    start_journald
    service "$slice/user@$UID.service/init.scope" user-manager /lib/systemd/systemd --user
    wait_until "the journal" test -S /run/systemd/journal/stdout
    wait_until "the user manager's socket" test -S "$XDG_RUNTIME_DIR/systemd/private"
    wait_until "the user manager" manager_is_up
    mkdir -p "/sys/fs/cgroup/$slice/testbed.scope"
    echo 0 >"/sys/fs/cgroup/$slice/testbed.scope/cgroup.procs"
}

run_local() {
    local entry environment=()
    for entry in "${outer_environment[@]}"; do
        [[ $entry == *=* && $entry != XDG_RUNTIME_DIR=* && $entry != DBUS_SESSION_BUS_ADDRESS=* ]] && environment+=("$entry")
    done
    # `<&0`: without it bash gives a background job /dev/null.
    env -i --default-signal="$reset" -- "${environment[@]}" XDG_RUNTIME_DIR="$XDG_RUNTIME_DIR" \
        DBUS_SESSION_BUS_ADDRESS="$DBUS_SESSION_BUS_ADDRESS" "$@" <&0 {env_fd}<&- &
    cmd_pid=$!
}

# ---- CMD

# These run in traps, see outside.sh.
end_cmd() {
    signal_cmd "$1"
    { sleep "$GRACE_SECONDS"; signal_cmd 9; } &
}

signal_cmd() {
    local pid=$cmd_pid child depth
    # In a container, nsenter forks for the PID namespace, and the shell in there for CMD.
    for ((depth = 0; depth < ${kind_depth[$kind]}; depth++)); do
        child=''
        read -r child _ <"/proc/$pid/task/$pid/children" # always false: no newline
        pid=$child
        [[ $pid ]] || exit $((128 + $1)) # CMD has not begun
    done
    kill -s "$1" "$pid"
} 2>/dev/null

declare -A kind_depth=([local]=0 [release]=2)

# run_inside ENV-FD SIGNALS-TO-RESET VERBOSE TREE JOURNALD-SETTINGS CMD...
run_inside() {
    local done_pid='' code cmd_pid='' kind=local env_fd=$1 reset=$2 tree=$4 journald=$5 outer_environment
    verbose=$3
    shift 5
    mapfile -d '' -t outer_environment <&"$env_fd"
    if [[ $tree ]]; then
        kind=release
        . "$parts/release.sh"
    fi
    mount_bed
    "start_$kind"
    note "ready after $SECONDS s"
    "run_$kind" "$@"
    # From here on: before it, the outside sees that nothing catches TERM and ends it all.
    trap : USR1
    trap 'signal_cmd 2' USR2
    trap 'end_cmd 1' HUP
    trap 'end_cmd 15' TERM
    while [[ ! ${done_pid-} ]]; do
        wait -p done_pid "$cmd_pid" 2>/dev/null # where bash would write "Killed"
        code=$?
    done
    exit "$code"
}
