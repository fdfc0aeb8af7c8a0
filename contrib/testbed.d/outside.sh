# The machine's side of the test bed: what is there, what must be installed, the cgroups, and the process that waits.
# shellcheck shell=bash

# ---- the machine as it is

# True where the manager itself answers over the session bus: a bus alone, or a manager without a bus, is not enough.
manager_answers() {
    timeout 5 busctl --user --quiet call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.DBus.Peer Ping \
        >/dev/null 2>&1
}

step_aside_if_possible() {
    # cron, sudo and plain ssh often lack the variables although the manager runs.
    local runtime=${XDG_RUNTIME_DIR:-/run/user/$UID} bus
    bus=${DBUS_SESSION_BUS_ADDRESS:-unix:path=$runtime/bus}
    command -v busctl >/dev/null || return 0
    XDG_RUNTIME_DIR=$runtime DBUS_SESSION_BUS_ADDRESS=$bus manager_answers || return 0
    note "a user manager answers already"
    XDG_RUNTIME_DIR=$runtime DBUS_SESSION_BUS_ADDRESS=$bus exec "$@"
}

check_rights() {
    unshare --mount --pid --cgroup --fork --propagation private true 2>/dev/null ||
        die "root, but not allowed to make namespaces and mounts: run this in a privileged container or a virtual machine"
}

# install_missing COMMAND_OR_FILE=PACKAGE...
install_missing() {
    local pair packages=() log
    for pair; do
        [[ -e ${pair%=*} ]] || command -v "${pair%=*}" >/dev/null || packages+=("${pair##*=}")
    done
    ((${#packages[@]})) || return 0
    command -v apt-get >/dev/null || die "needs ${packages[*]}, and there is no apt-get to install it"
    say "installing ${packages[*]}"
    log=$(mktemp)
    if ! apt_install "${packages[@]}" >"$log" 2>&1; then
        apt_get update >>"$log" 2>&1
        apt_install "${packages[@]}" >>"$log" 2>&1 || { tail -n 5 "$log" >&2; rm -f "$log"; die "cannot install ${packages[*]}"; }
    fi
    rm -f "$log"
}

# In a PID namespace: a daemon that a package's scripts start must not outlive the installation.
apt_get() {
    DEBIAN_FRONTEND=noninteractive unshare --pid --fork --kill-child --mount-proc \
        apt-get -q -y -o DPkg::Lock::Timeout=120 "$@" </dev/null
}

# systemd-container must have the version of the systemd that is installed, or apt upgrades the machine's.
apt_install() {
    local package packages=() version
    version=$(dpkg-query -W -f '${Version}' systemd 2>/dev/null)
    for package; do
        [[ $package == systemd-container && $version ]] && package+==$version
        packages+=("$package")
    done
    apt_get install --no-install-recommends "${packages[@]}" || apt_get install --no-install-recommends "$@"
}

# ---- cgroups

# The directory of the caller's own cgroup in a writable cgroup2 mount.
own_cgroup() {
    local root point options fields path
    path=$(sed -n 's/^0:://p' /proc/self/cgroup)
    [[ $path == /..* ]] && path=/
    while read -r _ _ _ root point options fields; do
        [[ $fields == *"- cgroup2 "* && ,$options, == *,rw,* ]] || continue
        [[ $root == / ]] || path=${path#"$root"}
        [[ -w ${point%/}${path%/}/cgroup.procs ]] || continue
        printf '%s\n' "${point%/}${path%/}"
        return
    done </proc/self/mountinfo
    return 1
}

start_time() { # of a process, in ticks since boot: with the PID it names one process for ever
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return
    set -- ${stat##*) }
    echo "${20}"
}

remove_cgroups() {
    local try
    for ((try = 0; try < 40; try++)); do
        [[ -d $1 ]] || return 0
        find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
        [[ -d $1 ]] && sleep 0.05
    done
    [[ ! -d $1 ]] || say "could not remove the cgroup $1"
}

# What a bed that was killed with SIGKILL could not remove.
remove_stale_cgroups() {
    local dir owner
    for dir in "$1"/procunit-bed-*; do
        owner=${dir##*/procunit-bed-}
        [[ $(start_time "${owner%-*}") == "${owner#*-}" ]] && continue
        # A bed of another PID namespace looks dead from here, but it has processes.
        grep -qs '^populated 0' "$dir/cgroup.events" || continue
        note "removing the stale cgroup $dir"
        remove_cgroups "$dir"
    done
}

# ---- signals
# What a trap runs must not wait for a process of its own: bash 5.2 was seen to hang in `$(...)` in a trap during `wait`.

# True where the terminal itself sends Ctrl-C to our process group, CMD included.
terminal_is_ours() {
    local stat
    read -r stat <"/proc/$$/stat"
    set -- ${stat##*) }
    [[ $5 != 0 && $3 == "$6" ]]
}

pass_on() { # SIGNAL EXIT-CODE
    local inside='' key value caught=0
    [[ $unshare_pid ]] || exit "$2"
    read -r inside _ <"/proc/$unshare_pid/task/$unshare_pid/children"
    while [[ $inside ]] && read -r key value; do
        [[ $key == SigCgt: ]] && caught=$value
    done <"/proc/${inside:-self}/status"
    if ((16#$caught & 1 << 14)); then
        kill -s "$1" "$inside"
    else # the kernel drops what the first process of a PID namespace has no handler for yet
        kill -s KILL "$unshare_pid"
        early=$2
    fi
} 2>/dev/null

# What the caller ignores must stay ignored for CMD, but nothing else: bash ignores QUIT by itself, and INT in background
# jobs. Only `trap -p` knows what was ignored on entry.
signals_to_reset() {
    local name names=''
    for name in HUP INT QUIT; do
        [[ $(trap -p "$name") == "trap -- '' "* ]] || names+=${names:+,}$name
    done
    printf '%s' "$names"
}

# ---- the process that waits

run_outside() {
    local base bed='' done_pid='' code=125 early='' unshare_pid='' env_fd reset name
    if ! base=$(own_cgroup); then
        [[ $no_retry ]] && die "no writable cgroup2 here, and none can be mounted"
        # Then all of this happens in a mount namespace more, where there is one.
        exec unshare --mount --propagation private sh -c \
            '{ mount -t tmpfs tmpfs /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; } 2>/dev/null; exec "$@"' sh "$BASH" "$self" __no_retry "${arguments[@]}"
    fi
    remove_stale_cgroups "$base"
    reset=$(signals_to_reset)
    name=procunit-bed-$$-$(start_time $$)
    # USR1: CMD had it from the terminal. USR2: CMD has still to get it.
    trap 'if terminal_is_ours; then pass_on USR1 130; else pass_on USR2 130; fi' INT
    trap 'pass_on TERM 143' TERM
    trap 'pass_on HUP 129' HUP
    trap ':' QUIT
    trap 'trap "" INT TERM HUP; remove_cgroups "$bed"' EXIT
    bed=$base/$name
    mkdir -p "$bed" || die "cannot make the cgroup $bed"
    # The exact environment: bash itself changes SHLVL, and drops names that it cannot hold.
    exec {env_fd}<"/proc/$$/environ"
    (
        trap - EXIT
        echo 0 >"$bed/cgroup.procs" || die "cannot enter the cgroup $bed"
        # The cgroup namespace has its root where the process stands now.
        exec setpriv --pdeathsig KILL unshare --mount --pid --cgroup --fork --kill-child=KILL --mount-proc --propagation private \
            "$BASH" "$self" __inside "$env_fd" "$reset" "$verbose" "${tree-}" "$journald" "$@"
    ) <&0 &
    unshare_pid=$!
    while [[ ! ${done_pid-} ]]; do
        wait -p done_pid "$unshare_pid" 2>/dev/null # where bash would write "Killed"
        code=$?
    done
    exit "${early:-$code}"
}
