#!/bin/bash
# SPDX-License-Identifier: MIT
#
# demo.sh              set up what is missing, then the main job on real mail
# demo.sh FILE.eml ... the same with the given messages
#
# Installs Debian packages (as root) and .venv in the checkout, only when they are
# missing; starts a private clamd under supervise and stops it again. Exit codes: 0
# all came out as they must, 1 some did not, 2 could not be tried.
set -u
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh" || exit 2
# shellcheck disable=SC2034 # for lib.sh
DIE_STATUS=2

case ${1-} in
    -h | --help)
        sed -n '4,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    --) shift ;;
    -*) die "unknown option $1; usage: demo.sh [FILE.eml ...]" ;;
esac

usual_environment
take_lock
need_packages "${PACKAGES_RUN[@]}"
choose_python
make_venv run
drop_lock

exec "$VENV/bin/python" "$ROOT/install/demo.py" "$@"
