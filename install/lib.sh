# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Shell functions of install/demo.sh and install/test.sh: a usual environment, one
# installation at a time, the interpreter, Debian packages, the virtual environment.
#
# Does: work from any directory and with an empty environment; nothing when all is
# there already. Never does: start a service, change the system's Python.
# Sets: ROOT (the checkout), PYTHON (the interpreter), VENV ($ROOT/.venv).

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
VENV=$ROOT/.venv

# shellcheck disable=SC2034 # used by the two scripts
# What the main job needs, and what only the tests, the bench and the linters need.
PACKAGES_RUN=(daemontools ucspi-tcp clamav clamav-daemon clamdscan clamav-testfiles
    libdb5.3-dev libmagic1 libarchive13 gcc libc6-dev perl-base procps util-linux)
# shellcheck disable=SC2034
PACKAGES_TEST=(swaks qpsmtpd shellcheck ripmime perl strace
    7zip arj bzip2 cpio genisoimage libarchive-tools lz4 lzip openssl xz-utils zip zstd)

POLICY=/usr/sbin/policy-rc.d
POLICY_MARK="written by qscan's install/lib.sh, to be removed by it"

say() {
    printf '%s: %s\n' "$(basename -- "$0" .sh)" "$*"
}

# die TEXT: the exit code is DIE_STATUS, or 1.
die() {
    printf '%s: %s\n' "$(basename -- "$0" .sh)" "$*" >&2
    exit "${DIE_STATUS:-1}"
}

# The same environment for everybody: the caller's may be empty or full of a
# developer's PYTHON* settings.
usual_environment() {
    local name
    for name in $(compgen -e PYTHON) VIRTUAL_ENV; do
        unset "$name"
    done
    export PATH="${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    export LC_ALL=C.UTF-8
    export HOME="${HOME:-/root}"
    export PIP_DISABLE_PIP_VERSION_CHECK=1
    umask 022
}

# take_lock: only one installs in this checkout. Descriptor 9 holds the lock until
# drop_lock; nothing that is started later may inherit it.
take_lock() {
    command -v flock >/dev/null || die "no flock: apt-get install util-linux"
    exec 9>"$ROOT/.install.lock"
    if ! flock -n 9; then
        say "another install runs in this checkout, waiting for it"
        flock 9
    fi
}

drop_lock() {
    exec 9>&-
}

# usable_python PROGRAM: prints the interpreter behind it when it is 3.11 to 3.13.
# A version manager's shim costs ten times what the interpreter costs to start, and
# only root may see root's.
usable_python() {
    command -v "$1" >/dev/null || return 1
    "$1" -I -S -c '
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit(1)
print(sys.executable)' 2>/dev/null
}

choose_python() {
    local candidate
    if [ -n "${QSCAN_PYTHON-}" ]; then
        PYTHON=$(usable_python "$QSCAN_PYTHON") ||
            die "QSCAN_PYTHON=$QSCAN_PYTHON is not a Python 3.11, 3.12 or 3.13"
        return
    fi
    for candidate in /usr/bin/python3.11 python3.11 python3.12 python3.13 python3; do
        PYTHON=$(usable_python "$candidate") && return
    done
    say "no Python 3.11 to 3.13 found, installing Debian's"
    need_packages python3 python3-venv python3-dev
    PYTHON=$(usable_python /usr/bin/python3) ||
        die "Debian's python3 here is not 3.11 to 3.13: set QSCAN_PYTHON"
}

# missing_packages NAME...: prints those that are not installed (t64 is how newer
# releases call a library with 64-bit times).
missing_packages() {
    local package
    for package in "$@"; do
        # shellcheck disable=SC2016 # dpkg-query's own variables
        case $(dpkg-query -W -f ' ${db:Status-Status} ' "$package" "${package}t64" 2>/dev/null) in
            *" installed "*) ;;
            *) printf '%s ' "$package" ;;
        esac
    done
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
        -o APT::Sys::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
        --no-install-recommends "$@"
}

# Packages that bring a service would start it: a freshclam that downloads, a clamd
# that nobody asked for. Where there is no local policy, ours says no for so long.
forbid_services() {
    if [ -f "$POLICY" ] && grep -q "$POLICY_MARK" "$POLICY"; then
        return
    fi
    if [ ! -e "$POLICY" ]; then
        printf '#!/bin/sh\n# %s\nexit 101\n' "$POLICY_MARK" >"$POLICY.qscan" &&
            chmod 755 "$POLICY.qscan" && mv -n "$POLICY.qscan" "$POLICY"
    fi
}

allow_services() {
    if [ -f "$POLICY" ] && grep -q "$POLICY_MARK" "$POLICY"; then
        rm -f "$POLICY"
    fi
}

# need_packages NAME...: installs the missing ones, asks the archive only then.
need_packages() {
    local missing
    command -v dpkg-query >/dev/null || die "this is not Debian; install: $*"
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        die "not root, and these packages are missing; as root: apt-get install $missing"
    fi
    say "installing Debian packages: ${missing% }"
    mkdir -p /run/lock
    # Several checkouts may do this at once.
    exec 8>/run/lock/qscan-install.lock
    flock 8
    trap allow_services EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    forbid_services
    # shellcheck disable=SC2086 # a list of words
    if ! quietly -e apt_get install $missing; then
        say "package lists are old or missing, getting new ones"
        quietly apt_get update || die "unable to get package lists"
        # shellcheck disable=SC2086
        quietly apt_get install $missing || die "unable to install: $missing"
    fi
    allow_services
    trap - EXIT INT TERM HUP
    exec 8>&-
    missing=$(missing_packages "$@")
    [ -z "$missing" ] || die "still missing after apt-get install: $missing"
}

# need_python_parts: venv and headers of Debian's Python are packages of their own.
need_python_parts() {
    local version parts=()
    "$PYTHON" -I -c 'import ensurepip, venv' 2>/dev/null || parts+=(venv)
    "$PYTHON" -I -c '
import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
        parts+=(dev)
    [ ${#parts[@]} -gt 0 ] || return 0
    case $PYTHON in
        /usr/bin/*) ;;
        *) die "$PYTHON has no ensurepip or no Python.h: install those or set QSCAN_PYTHON" ;;
    esac
    version=$("$PYTHON" -I -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    need_packages "${parts[@]/#/$version-}"
}

# heartbeat LOG: every 10 seconds the last line of LOG, until its input ends.
heartbeat() {
    local last
    while :; do
        read -rt 10
        [ $? -gt 128 ] || break
        last=$(tail -n 1 -- "$1" | cut -c 1-72)
        say "... ${last:-still at it}"
    done
}

# quietly [-e] COMMAND...: its output only when it fails (-e: not even then), and a
# sign of life when it takes long.
quietly() {
    local log status show=yes
    if [ "$1" = -e ]; then
        show=
        shift
    fi
    log=$(mktemp)
    exec 7> >(heartbeat "$log" 8>&- 9>&-)
    "$@" >"$log" 2>&1 </dev/null 7>&- 8>&- 9>&-
    status=$?
    exec 7>&-
    if [ $status != 0 ] && [ -n "$show" ]; then
        cat -- "$log" >&2
    fi
    rm -f -- "$log"
    return $status
}

# The stamp names all that the environment was made from; another interpreter, a
# moved checkout or changed requirements make it anew.
stamp_of() {
    (
        cd "$ROOT/install" || exit 1
        printf '%s\n%s\n' "$ROOT" "$PYTHON"
        "$PYTHON" -I -S -c 'import sys; print(sys.version)'
        sha256sum -- "$@" lib.sh
    )
}

stamped() {
    [ -f "$VENV/qscan-$1" ] && [ -x "$VENV/bin/python" ] &&
        [ "$(cat "$VENV/qscan-$1")" = "$2" ]
}

# make_venv run|test: .venv with the pinned packages; qscan itself is found by path.
make_venv() {
    local base all site
    base=$(stamp_of requirements.txt requirements-build.txt) || die "unable to read $ROOT/install"
    if ! stamped run "$base"; then
        need_python_parts
        say "making the virtual environment $VENV with $PYTHON"
        rm -f "$VENV/qscan-run" "$VENV/qscan-test"
        quietly "$PYTHON" -I -m venv --clear "$VENV" || die "unable to make $VENV"
        say "installing the Python packages of install/requirements.txt"
        pip_install requirements.txt
        site=$("$VENV/bin/python" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
        printf '%s\n' "$ROOT" >"$site/qscan-checkout.pth"
        printf '#!%s\nimport sys\n\nfrom qscan.cli import main\n\nsys.exit(main())\n' \
            "$VENV/bin/python" >"$VENV/bin/qscan"
        chmod 755 "$VENV/bin/qscan"
        printf '%s\n' "$base" >"$VENV/qscan-run"
    fi
    if [ "$1" = test ]; then
        all=$(stamp_of requirements.txt requirements-build.txt requirements-dev.txt)
        if ! stamped test "$all"; then
            say "installing the Python packages of install/requirements-dev.txt"
            pip_install requirements-dev.txt
            printf '%s\n' "$all" >"$VENV/qscan-test"
        fi
    fi
    # Somebody who may not write here must not compile for every message.
    quietly "$VENV/bin/python" -m compileall -q "$ROOT/qscan" || die "qscan does not compile"
}

pip_install() {
    PIP_CONSTRAINT=$ROOT/install/requirements-build.txt quietly \
        "$VENV/bin/python" -m pip install --quiet --no-input -r "$ROOT/install/$1" ||
        die "unable to install the packages of install/$1"
}
