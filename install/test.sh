#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test.sh          install what the tests need, then linters, types and all tests
# test.sh ARG ...  only pytest, with these arguments (-k NAME, tests/test_x.py, ...)
#
# The last line counts everything, each linter as one test: N passed, N failed,
# N skipped. Exit code 0 when nothing failed, 1 otherwise.
set -u
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh" || exit 1

if [ "${1-}" = --help ]; then
    sed -n '4,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
fi

usual_environment
take_lock
need_packages "${PACKAGES_RUN[@]}" "${PACKAGES_TEST[@]}"
choose_python
make_venv test
drop_lock
cd -- "$ROOT" || die "no directory $ROOT"
export PATH="$VENV/bin:$PATH"

passed=0 failed=0 skipped=0

# gate NAME COMMAND...: one linter, counted as one test.
gate() {
    local name=$1
    shift
    say "$name"
    if quietly "$@"; then
        passed=$((passed + 1))
    else
        say "$name: FAILED"
        failed=$((failed + 1))
    fi
}

# Every shell script: git's files and those that are not added yet, or all files.
shell_scripts() {
    local file first
    {
        git ls-files -z --cached --others --exclude-standard 2>/dev/null ||
            find . -name .git -prune -o -name .venv -prune -o -type f -print0
    } | while IFS= read -r -d '' file; do
        [ -f "$file" ] || continue
        case $file in
            *.sh)
                printf '%s\0' "$file"
                continue
                ;;
        esac
        IFS= read -r first <"$file" 2>/dev/null
        case ${first-} in
            '#!'*/sh | '#!'*/bash | '#!'*/dash | '#!'*' bash' | '#!'*' sh' | \
                '#!'*'/sh '* | '#!'*'/bash '*) printf '%s\0' "$file" ;;
        esac
    done 2>/dev/null
}

shellcheck_all() {
    local scripts=()
    mapfile -d '' -t scripts < <(shell_scripts)
    if [ ${#scripts[@]} = 0 ]; then
        echo "no shell scripts found"
        return 1
    fi
    shellcheck -x -- "${scripts[@]}"
}

# count_tests REPORT: adds pytest's own counts, from its JUnit report.
count_tests() {
    local counts
    counts=$("$VENV/bin/python" -I -c '
import sys
import xml.etree.ElementTree as tree

tests = bad = skipped = 0
for suite in tree.parse(sys.argv[1]).iter("testsuite"):
    tests += int(suite.get("tests"))
    bad += int(suite.get("failures")) + int(suite.get("errors"))
    skipped += int(suite.get("skipped"))
print(tests - bad - skipped, bad, skipped)' "$1" 2>/dev/null) || return 1
    # shellcheck disable=SC2086 # three words
    set -- $counts
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

run_pytest() {
    local report status
    report=$(mktemp)
    say "pytest $*"
    pytest --junitxml="$report" "$@" </dev/null
    status=$?
    # No report or no test run counts as a failure, whatever pytest says.
    if ! count_tests "$report" || { [ $status != 0 ] && [ $failed = 0 ]; }; then
        failed=$((failed + 1))
    fi
    rm -f -- "$report"
}

if [ $# = 0 ]; then
    gate "ruff check" ruff check .
    gate "ruff format --check" ruff format --check .
    gate "mypy --strict qscan" mypy --strict qscan
    gate "shellcheck" shellcheck_all
    run_pytest -q -n 2 tests
else
    run_pytest "$@"
fi

printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
[ $failed = 0 ]
