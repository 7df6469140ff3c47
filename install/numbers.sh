#!/bin/bash
# SPDX-License-Identifier: MIT
#
# numbers.sh [CORPUS]   set up what is missing, then how well nothing hides, as a table:
#                       hidden content and names, hostile winmail.dat, real mail, our
#                       own generator of constructs, clamd's test files, cost
# numbers.sh --help     the options of the generator
#
# CORPUS is a directory with mime-is-broken, tnef-hostile, real-mail (default:
# $QSCAN_CORPUS, else ../shared/corpus beside the checkout); what is absent is left out.
# Exit codes: 0 all required numbers are met, 1 some are not, 2 could not be tried.
set -u
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh" || exit 2
# shellcheck disable=SC2034 # for lib.sh
DIE_STATUS=2

usual_environment
take_lock
need_packages "${PACKAGES_RUN[@]}"
choose_python
make_venv test
drop_lock

exec "$VENV/bin/python" "$ROOT/install/numbers_table.py" "$@"
