# --release: the root tree of a Debian release, and the container that boots it.
# shellcheck shell=bash

# ---- the tree (outside)

# Sets `tree`. A tree is complete or not there: it gets its name only when it is done. Its name tells the recipe.
ensure_tree() {
    local cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/procunit/testbed name lock new
    [[ -e /usr/share/debootstrap/scripts/$1 ]] || die "debootstrap does not know the release $1"
    name=$1-$(dpkg --print-architecture)-$(declare -f make_tree configure_tree | sha256sum | cut -c 1-8)
    tree=$cache/$name
    [[ -d $tree ]] && return
    mkdir -p "$cache" || die "cannot make $cache"
    exec {lock}>"$cache/$1.lock"
    flock -n "$lock" || { say "waiting for another test bed that makes the tree of $1"; flock "$lock"; }
    if [[ ! -d $tree ]]; then
        rm -rf --one-file-system "$cache/.new-$1-"* # left behind by a killed run; the lock is ours
        new=$(mktemp -d "$cache/.new-$1-XXXXXX")
        say "making the root tree of $1, once: $tree"
        chmod 0755 "$new"
        in_own_processes make_tree "$1" "$new" "$(mirror_of_apt)" ||
            { rm -rf --one-file-system "$new"; die "cannot make the root tree of $1, see ${new%/*}/$1.log"; }
        mv -T "$new" "$tree" || die "cannot name $tree"
    fi
    exec {lock}>&-
}

# The Debian mirror of the machine's own apt, if it has one that debootstrap can read.
mirror_of_apt() {
    local uri
    while read -r uri; do
        [[ $uri =~ ^(https?|file):.*/debian/?$ ]] && { echo "$uri"; return; }
    done < <(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' 2>/dev/null)
    echo http://deb.debian.org/debian
}

# debootstrap and the package scripts leave no process and no mount behind, whatever ends them.
in_own_processes() {
    local pid done_pid='' code=1
    trap 'kill -s KILL "$pid" 2>/dev/null' INT TERM HUP
    setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child=KILL --mount-proc --propagation private \
        "$BASH" -uo pipefail -c "$(declare -f make_tree configure_tree)"'; "$@"' sh "$@" </dev/null &
    pid=$!
    while [[ ! ${done_pid-} ]]; do
        wait -p done_pid "$pid" 2>/dev/null
        code=$?
    done
    trap - TERM HUP
    trap 'exit 130' INT
    return "$code"
}

make_tree() { # RELEASE DIRECTORY MIRROR
    local packages=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,procps proxy wgetrc
    # debootstrap downloads with wget, which knows neither apt's proxy nor these two variables.
    eval "$(apt-config shell proxy Acquire::http::Proxy 2>/dev/null)"
    [[ ${proxy-} && $proxy != DIRECT ]] && export http_proxy=${http_proxy:-$proxy}
    if [[ ${SSL_CERT_FILE:-${CURL_CA_BUNDLE-}} ]]; then
        wgetrc=/tmp/testbed-wgetrc.$$.$RANDOM
        echo "ca_certificate = ${SSL_CERT_FILE:-$CURL_CA_BUNDLE}" >"$wgetrc"
        export WGETRC=$wgetrc
    fi
    debootstrap --variant=minbase --include="$packages" "$1" "$2" "$3" >"${2%/*}/$1.log" 2>&1 &&
        configure_tree "$2" >>"${2%/*}/$1.log" 2>&1
    local code=$?
    rm -f "${wgetrc-}"
    return "$code"
}

configure_tree() {
    local root=$1 unit
    chroot "$root" useradd --create-home --uid 1000 --shell /bin/bash bed || return
    mkdir -p "$root/var/lib/systemd/linger" "$root/var/log/journal"
    touch "$root/var/lib/systemd/linger/bed"
    echo testbed >"$root/etc/hostname" # debootstrap leaves the machine's
    tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id" # an empty one means "first boot": slow
    # Nothing here serves a test, and each costs boot time.
    for unit in systemd-resolved.service systemd-networkd.{service,socket} systemd-networkd-wait-online.service \
        systemd-network-generator.service systemd-timesyncd.service systemd-udev{d.service,-trigger.service,d-control.socket,d-kernel.socket} \
        systemd-{hwdb-update,journal-catalog-update,firstboot,sysusers,machine-id-commit,update-done,pstore,boot-update}.service \
        systemd-{remount-fs,update-utmp,update-utmp-runlevel,ask-password-wall,random-seed,sysctl,binfmt,modules-load}.service \
        systemd-tmpfiles-{setup-dev,setup-dev-early,clean}.service systemd-tmpfiles-clean.timer \
        console-getty.service getty.target getty@.service container-getty@.service serial-getty@.service \
        apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
        man-db.timer motd-news.timer cron.service ldconfig.service kmod-static-nodes.service \
        modprobe@.service dev-hugepages.mount sys-kernel-{debug,tracing,config}.mount sys-fs-fuse-connections.mount \
        proc-sys-fs-binfmt_misc.automount swap.target remote-fs.target; do
        ln -sfn /dev/null "$root/etc/systemd/system/$unit"
    done
    ln -sfn /usr/lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
    ln -sfn /dev/null "$root/etc/tmpfiles.d/tmp.conf" # it would empty /tmp, where the checkout may be mounted
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
}

# ---- the container (inside)

# overlay LOWER DESTINATION [OPTION]: what is written to it is gone with the bed
overlay() {
    local own
    own=$(mktemp -d /run/systemd/bed/overlay-XXXXXX)
    mkdir "$own/lower" "$own/upper" "$own/work" "$2" 2>/dev/null
    # Bound to a name without the `:` and `,` that the options cannot hold.
    mount --bind "$1" "$own/lower" &&
        mount -t overlay -o "lowerdir=$own/lower,upperdir=$own/upper,workdir=$own/work${3-}" overlay "$2" ||
        die "cannot mount an overlay of $1"
}

# Makes DIRECTORY in the container's tree, and lets an ordinary user through to it: /root has mode 0700.
make_way() {
    local part path=$root
    while IFS= read -r -d / part; do
        path+=${part:+/$part}
        [[ -d $path ]] || mkdir "$path"
        chmod o+x "$path"
    done <<<"$1/"
}

# The caller's directories, in `binds` as arguments for nspawn. The user may read all of them, whatever the caller's umask,
# and make files at their top and where cargo keeps CARGO_TARGET_TMPDIR.
bring_in() {
    local top target dir copy own number=0
    top=$(git -c safe.directory='*' rev-parse --show-toplevel 2>/dev/null) || top=$(pwd -P)
    target=$(from_outside CARGO_TARGET_DIR)
    target=${target:+$(realpath -m "$target")}
    [[ $target/ == "$top"/* ]] && target=''
    for dir in "$top" $target; do
        case $dir in
        / | /bin | /boot | /dev | /etc | /home | /lib* | /proc | /root | /run | /sbin | /sys | /tmp | /usr | /var) continue ;;
        esac
        [[ -d $dir ]] || continue
        copy=/run/systemd/bed/brought-$((++number))
        overlay "$dir" "$copy" ,metacopy=on # so that a new owner copies no contents
        find "$copy" \( ! -perm -o=r -o -type d ! -perm -o=x \) -exec chown -h 1000:1000 {} +
        [[ $dir == "$top" && -d $copy/target ]] && mkdir -p "$copy/target/tmp"
        [[ $dir == "$target" ]] && mkdir -p "$copy/tmp"
        for own in "$copy" "$copy"/target "$copy"/target/tmp "$copy"/tmp; do
            [[ -d $own ]] && chown 1000:1000 "$own"
        done
        make_way "$dir"
        binds+=(--bind="$copy:${dir//:/\\:}")
    done
}

from_outside() { # VARIABLE
    local entry
    for entry in "${outer_environment[@]}"; do
        [[ $entry == "$1="* ]] && printf '%s' "${entry#*=}"
    done
}

children_of() { cat "/proc/$1/task/$1/children" 2>/dev/null; }

# What the caller asks of journald, and the means to stop it for a while.
set_up_journald() {
    mkdir -p "$root/etc/systemd/journald.conf.d"
    printf '[Journal]\nRateLimitIntervalSec=0\n%s' "$journald" >"$root/etc/systemd/journald.conf.d/testbed.conf"
    install -m 4755 "$root/usr/bin/kill" "$root/usr/local/bin/testbed-kill"
}

# Sets `leader`, the container's PID 1. nspawn's helper processes live in our own PID namespace.
container_is_booting() {
    local pid
    kill -0 "$nspawn" 2>/dev/null || die "the container ended: $(tail -qn 3 /run/systemd/bed/nspawn.log | tr '\n' ' ')"
    for pid in $(children_of "$nspawn"); do
        [[ $(sed -n 's/^NSpid:.*\t//p' "/proc/$pid/status" 2>/dev/null) == 1 && $(<"/proc/$pid/comm") == systemd ]] || continue
        leader=$pid
        return
    done 2>/dev/null
    return 1
}

container_manager_is_up() {
    "${as_bed[@]}" timeout "$WAIT_SECONDS" sh -c '
        state=$(systemctl --user is-system-running --wait)
        [ "$state" = running ] || [ "$state" = degraded ] || exit
        busctl --user --quiet call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.DBus.Peer Ping' >/dev/null 2>&1
}

start_release() {
    local binds=()
    root=/run/systemd/bed/root
    overlay "$tree" "$root"
    set_up_journald
    bring_in
    # An overlay of our own, not --volatile=overlay: its lock would keep a second bed from the tree (252).
    service container nspawn systemd-nspawn --quiet --directory="$root" --boot --machine=testbed --register=no --keep-unit \
        --link-journal=no --settings=no --timezone=off --console=pipe "${binds[@]}" systemd.show_status=0
    nspawn=$!
    wait_until "the container" container_is_booting
    as_bed=(nsenter --target "$leader" --mount --uts --ipc --pid --cgroup --root --wd setpriv --reuid 1000 --regid 1000 --init-groups
        env -i HOME=/home/bed USER=bed LOGNAME=bed SHELL=/bin/bash PATH=/usr/local/bin:/usr/bin:/bin
        XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus)
    wait_until "the user manager's socket" test -S "/proc/$leader/root/run/user/1000/systemd/private"
    wait_until "the user manager" container_manager_is_up
}

run_release() {
    local entry fd cwd cgroup environment=()
    for entry in "${outer_environment[@]}"; do
        case $entry in
        PROCUNIT_*=* | CARGO_*=* | RUST*=* | NEXTEST*=* | PROPTEST_*=* | CI=* | GITHUB_ACTIONS=* | TERM=* | COLORTERM=* | NO_COLOR=* | \
            CLICOLOR*=* | FORCE_COLOR=* | TZ=* | LANG=* | LC_*=*) environment+=("$entry") ;;
        esac
    done
    # Pipes can be opened by name (/dev/stderr) by their owner only.
    for fd in 0 1 2; do [[ -p /proc/self/fd/$fd ]] && chown 1000 "/proc/self/fd/$fd"; done
    cwd=$(pwd -P)
    "${as_bed[@]}" test -d "$cwd" || cwd=/home/bed
    cgroup=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$leader/cgroup")
    cgroup=${cgroup%/init.scope}/user.slice/user-1000.slice/testbed.scope
    mkdir -p "$cgroup"
    (
        echo 0 >"$cgroup/cgroup.procs"
        ulimit -Hn 524288 2>/dev/null
        ulimit -Sn 1024
        exec {env_fd}<&-
        # nsenter must outlive a Ctrl-C that CMD handles, but then cannot die as CMD did: so a shell turns that into a code.
        trap '' INT QUIT
        exec "${as_bed[@]}" bash -c 'exec {stderr}>&2 2>/dev/null; "$@" 2>&$stderr {stderr}>&-; exit $?' sh \
            env --default-signal="$reset" --chdir="$cwd" -- "${environment[@]}" "$@"
    ) <&0 &
    cmd_pid=$!
}
