# SPDX-License-Identifier: MIT
"""Writes the launcher: the file that QMAILQUEUE names.

Does: resolve the interpreter behind virtual environments and version-manager shims,
write a script of a few lines that starts it with ``-IS`` (no environment, no ``site``:
both cost time and let a caller change what runs) and the hot bundle beside the
package's compiled code. Never does: leave a half-written launcher.
Use: ``python -m qscan.launcher --output PATH --settings DB [--python PY]``.
Exit: 0 done, 1 cannot, 2 wrong use.
"""

import argparse
import compileall
import os
import subprocess
import sys
import sysconfig

from qscan import bundle

SHEBANG_LIMIT = 127  # bytes: what every Linux reads of the first line (execve(2))
MODE = 0o755
BUNDLE = "hot.bundle"

# The script is compiled at every start, so it is short; all else is in the bundle.
# Automatic garbage collection is off: the process ends before it would pay.
SCRIPT = """#!{python} -IS
# Written by qscan.launcher; do not edit, write it again.
import gc, marshal, posix, sys
gc.disable()
sys.path[:] = {path!r}
try:
    f = posix.open({bundle!r}, posix.O_RDONLY | posix.O_CLOEXEC)
    v, c, s, m, r = marshal.loads(posix.read(f, {size}))
    posix.close(f)
    if v == sys.hexversion:
        exec(c, {{"sources": s, "modules": m}})
        sys.modules["qscan"].rest = c, r
except (OSError, ValueError, EOFError, TypeError):
    pass
from qscan.wrapper import main
main({settings!r})
"""


class LauncherError(Exception):
    """Why no launcher can be written, with the remedy."""


def resolve(python: str) -> tuple[str, list[str]]:
    """(interpreter, its standard library path) behind ``python``; raises
    LauncherError when it does not run or its path cannot stand in a first line."""
    question = (
        "import sys, os;"
        "print(os.path.realpath(getattr(sys, '_base_executable', '') or "
        "sys.executable));"
        "print(*sys.version_info[:2]);"
    )
    try:
        lines = _ask(python, [], question)
        real = lines[0]
        version = tuple(int(n) for n in lines[1].split())
        path = _ask(real, ["-I", "-S"], "import sys; print(*sys.path, sep='\\n')")
    except (OSError, subprocess.SubprocessError, IndexError, ValueError) as error:
        raise LauncherError(
            f"{python}: does not run as a Python interpreter ({error}); "
            "name one with --python"
        ) from None
    if not (3, 11) <= version <= (3, 13):
        raise LauncherError(f"{real}: is Python {lines[1]}, 3.11 to 3.13 are supported")
    if any(character in real for character in " \t\n"):
        raise LauncherError(
            f"{real}: a first line cannot name a path with blanks; "
            "use another interpreter with --python"
        )
    if len(os.fsencode(f"#!{real} -IS\n")) > SHEBANG_LIMIT:
        raise LauncherError(
            f"{real}: is longer than the {SHEBANG_LIMIT} bytes a first line may have; "
            "use another interpreter with --python"
        )
    return real, path


def _ask(python: str, flags: list[str], question: str) -> list[str]:
    answer = subprocess.run(
        [python, *flags, "-c", question],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return answer.stdout.splitlines()


def script(python: str, settings: str) -> tuple[str, str, bytes]:
    """(text of the launcher, path of the bundle, its bytes)."""
    real, standard = resolve(python)
    package = os.path.dirname(os.path.abspath(__file__))
    site = sysconfig.get_paths()["platlib"]
    cache = os.path.join(package, "__pycache__", BUNDLE)
    data = bundle.build(package)
    # Standard library last: what a clean message needs of it is built in.
    path = [os.path.dirname(package), *standard, site]
    text = SCRIPT.format(
        python=real,
        path=path,
        bundle=cache,
        size=len(data) + 1,
        settings=os.path.abspath(settings),
    )
    return text, cache, data


def write(output: str, settings: str, python: str = sys.executable) -> None:
    """Publish the launcher at ``output``; raises LauncherError or OSError."""
    text, cache, data = script(python, settings)
    package = os.path.dirname(os.path.abspath(__file__))
    if _same_version(python):
        # By time stamp, as the interpreter itself does: an upgrade of the sources is
        # seen at once. The bundle holds only for the interpreter that made it.
        compileall.compile_dir(package, quiet=2)
        try:
            os.makedirs(os.path.dirname(cache), exist_ok=True)
            _publish(cache, data, 0o644)
        except OSError as error:
            print(f"qscan: warning: no bundle, slower start: {error}", file=sys.stderr)
    _publish(output, text.encode(), MODE)


def _same_version(python: str) -> bool:
    answer = _ask(python, [], "import sys; print(sys.hexversion)")
    return answer == [str(sys.hexversion)]


def _publish(path: str, data: bytes, mode: int) -> None:
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="qscan.launcher", description=__doc__)
    parser.add_argument("--output", required=True, help="the file QMAILQUEUE names")
    parser.add_argument("--settings", required=True, help="compiled settings")
    parser.add_argument("--python", default=sys.executable, help="interpreter")
    options = parser.parse_args(arguments)
    try:
        write(options.output, options.settings, options.python)
    except (LauncherError, OSError) as error:
        print(f"qscan.launcher: fatal: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
