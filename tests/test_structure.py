# SPDX-License-Identifier: MIT
"""How the sources hang together: who may import whom, what a clean message loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import fake_clamd
import harness
import pytest
from unpacking import REPOSITORY

from qscan import bundle

if TYPE_CHECKING:
    from fake_clamd import FakeClamd
    from harness import Installation

PACKAGE = REPOSITORY / "qscan"

#: An import, also one inside a function, goes to a strictly lower rank.
RANKS = (
    # values and tables; codings and types of bytes
    (
        "qscan bundle filetypes log model outcomes transfer archives "
        "archives.documents.facts archives.streams archives.zipindex"
    ),
    # the rim, and what is pure and needs values only
    (
        "cms fdio names oldcodes quoting sniff tnef variants archives.documents.cfb "
        "archives.documents.pdfcrypt archives.documents.pdfsyntax "
        "archives.documents.window"
    ),
    # grammars, one file or one peer each
    (
        "defects envelope headers kinds limited realtype scanners scanners.clamd "
        "settings archives.documents.embedded archives.documents.ooxml"
    ),
    (
        "spool store tnefmail archives.library archives.passwords "
        "archives.documents.activemime archives.documents.arj "
        "archives.documents.flatxml archives.documents.mbox archives.documents.ole "
        "archives.documents.onenote archives.documents.pdf archives.documents.rtf"
    ),
    "actions decide parameters sweep tnefchild archives.documents",
    (
        "actions.deliver actions.quarantine actions.reject flags launcher mime "
        "schema archives.formats"
    ),
    "archives.walk",
    "archives.zipmembers",
    "archives.child",
    "archives.unpack",
    "actions.winmail compiler defecttext inner intext",
    "deep",
    "unpack",
    # the order of the stages
    "pipeline",
    # processes
    "cli cli.common wrapper",
    "cli.__main__ cli.compile cli.config cli.render cli.version",
    "cli.outline cli.scan",
    "cli.why",
    "cli.page",
    "cli.explain",
)
RANK = {
    f"qscan.{name}".replace("qscan.qscan", "qscan"): rank
    for rank, names in enumerate(RANKS)
    for name in names.split()
}

#: What a clean plain message may load besides our own modules (bundle.HOT) and what
#: an interpreter that does nothing has loaded.
ALLOWED = {
    "_socket",
    "binascii",
    "fcntl",
    "gc",
    "select",
}
#: Built into some interpreters, files in others.
NEVER = {
    "_berkeleydb",
    "berkeleydb",
    "click",
    "collections",
    "ctypes",
    "dataclasses",
    "email",
    "enum",
    "functools",
    "hashlib",
    "json",
    "logging",
    "magic",
    "os",
    "re",
    "signal",
    "socket",
    "subprocess",
    "tempfile",
    "tnefparse",
    "tomllib",
    "typing",
}


def sources() -> dict[str, Path]:
    """Our modules by name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


SOURCES = sources()
TREES = {name: ast.parse(path.read_bytes()) for name, path in SOURCES.items()}


def imports(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """The modules of ours that these statements import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            base = node.module or ""
            names = [
                f"{base}.{alias.name}" if f"{base}.{alias.name}" in SOURCES else base
                for alias in node.names
            ]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "qscan")


def test_every_module_has_a_rank() -> None:
    assert set(RANK) == set(SOURCES)
    assert sum(len(names.split()) for names in RANKS) == len(RANK)


@pytest.mark.parametrize("name", SOURCES)
def test_an_import_goes_to_a_lower_rank(name: str) -> None:
    for imported in imports(ast.walk(TREES[name])):
        assert RANK[imported] < RANK[name], imported


def test_only_the_commands_know_click() -> None:
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                words = ast.unparse(node).split()
                assert "click" not in words or name.startswith("qscan.cli"), name


def test_only_the_rim_knows_sockets_and_signals() -> None:
    """Besides fdio: who talks to clamd, to syslog, and who guards a child."""
    allowed = {
        "_signal": {"qscan.fdio", "qscan.limited"},
        "_socket": {"qscan.fdio", "qscan.log", "qscan.scanners.clamd"},
        "signal": set(),
        "socket": set(),
    }
    for name, tree in TREES.items():
        if name.startswith("qscan.cli"):
            continue
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for imported in names:
                if imported in allowed:
                    assert name in allowed[imported], (name, imported)


# What is loaded.

TOLD = """
def _told(program, arguments, environment):
    fd = posix.open({path!r}, posix.O_WRONLY | posix.O_CREAT, 0o600)
    posix.write(fd, "\\n".join(sorted(sys.modules)).encode())
    posix._exit(0)
posix.execve = _told
"""


def loaded(
    installation: Installation, message: bytes, bundled: bool, changed: str = ""
) -> set[str]:
    """The modules at the moment when qmail-queue would be started.

    The launcher is the installed one, with an exec that writes them down instead.
    """
    path = installation.home / "modules"
    script = installation.program.read_text("utf-8")
    first, _, rest = script.partition("\n")
    assert first.endswith(" -IS")
    marker = "from qscan.wrapper import main"
    assert marker in rest
    rest = rest.replace(marker, TOLD.format(path=str(path)) + marker)
    if not bundled:
        assert "hot.bundle" in rest
        rest = rest.replace("hot.bundle", "absent.bundle")
    program = installation.home / "program"
    program.write_text(first + "\n" + rest, "utf-8")
    program.chmod(0o755)
    (installation.home / "message").write_bytes(message)
    (installation.home / "envelope").write_bytes(b"Fa@example.org\0Tb@example.net\0\0")
    with (
        (installation.home / "message").open("rb") as standard_input,
        (installation.home / "envelope").open("rb") as envelope,
    ):
        done = subprocess.run(
            [program],
            stdin=standard_input,
            stdout=envelope,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    return set(path.read_text("ascii").split())


def bare() -> set[str]:
    """What the interpreter has loaded before it does anything."""
    done = subprocess.run(
        [harness.interpreter(), "-IS", "-c", "import sys; print(*sys.modules)"],
        capture_output=True,
        check=True,
        text=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("bundled", [True, False], ids=["bundle", "sources"])
def test_a_clean_plain_message_loads_what_is_allowed_and_nothing_else(
    bundled: bool, faked: Callable[..., tuple[Installation, FakeClamd]]
) -> None:
    installation, _ = faked(fake_clamd.healthy)
    installation.leftovers = True
    extra = loaded(installation, harness.plain(), bundled) - bare()
    ours = {name for name in extra if name.split(".")[0] == "qscan"}
    assert ours == set(bundle.HOT)
    assert extra - ours <= ALLOWED
    assert not extra & NEVER


def test_an_attachment_loads_a_little_more_and_no_library(
    faked: Callable[..., tuple[Installation, FakeClamd]],
) -> None:
    installation, _ = faked(fake_clamd.healthy)
    installation.leftovers = True
    message = harness.multipart(
        (b"text/plain", b"", b"see there\n"),
        (b"application/zip", b"file.zip", b"PK\3\4" + b"x" * 5000),
    )
    extra = loaded(installation, message, True) - bare()
    ours = {name for name in extra if name.split(".")[0] == "qscan"}
    assert ours - set(bundle.HOT) <= {
        "qscan.archives",
        "qscan.archives.formats",
        "qscan.archives.unpack",
        "qscan.defects",
        "qscan.inner",
        "qscan.limited",
        "qscan.parameters",
        "qscan.quoting",
        "qscan.transfer",
    }
    # The last is what wait4 has its numbers from.
    assert extra - ours <= ALLOWED | {"__future__", "errno", "resource"}
    assert not extra & NEVER


def test_the_bundle_is_in_order_of_import() -> None:
    assert set(bundle.HOT) <= set(SOURCES)
    assert len(set(bundle.HOT)) == len(bundle.HOT)
    for position, name in enumerate(bundle.HOT):
        before = set(bundle.HOT[:position]) | {"qscan"}
        body = iter(TREES[name].body)
        top = set(imports(node for node in body if not isinstance(node, ast.If)))
        assert top <= before, name


#: Run by people only, by an interpreter that keeps assertions.
COLD = ("qscan.bundle", "qscan.cli", "qscan.compiler", "qscan.launcher", "qscan.schema")


def test_what_sees_mail_does_not_lean_on_assertions() -> None:
    """The bundle is compiled without them."""
    for name, tree in TREES.items():
        if name.startswith(COLD):
            continue
        for node in ast.walk(tree):
            assert not isinstance(node, ast.Assert), (name, node.lineno)


# Every file of the checkout.


def checkout() -> list[Path]:
    """Files that are, or could be, committed."""
    if (REPOSITORY / ".git").exists():
        done = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=REPOSITORY,
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            names = done.stdout.decode("utf-8").split("\0")
            paths = [REPOSITORY / name for name in names if name]
            return [path for path in paths if path.is_file()]
    hidden = {".git", ".venv", "__pycache__", ".pytest_cache", ".ruff_cache"}
    return [
        path
        for path in REPOSITORY.rglob("*")
        if path.is_file() and not hidden & set(path.relative_to(REPOSITORY).parts)
    ]


def is_source(path: Path) -> bool:
    if path.suffix in (".py", ".sh", ".toml"):
        return True
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def test_every_source_file_names_its_licence_at_the_top() -> None:
    files = [path for path in checkout() if is_source(path)]
    assert len(files) > 50
    for path in files:
        lines = path.read_text("utf-8").split("\n")
        first = lines[1] if lines[0].startswith("#!") else lines[0]
        assert first == "# SPDX-License-Identifier: MIT", path


def test_no_file_knows_the_machine_it_was_made_on() -> None:
    # Reversed, so that this file is not the one that is found.
    reversed_places = (b"/toor/", b"vneyp.", b"niam/krow/", b"derahs/krow/")
    places = [place[::-1] for place in reversed_places]
    for path in checkout():
        content = path.read_bytes()
        for place in places:
            assert place not in content, (path, place)


def test_every_module_says_what_it_is() -> None:
    for name, tree in TREES.items():
        text = ast.get_docstring(tree)
        assert text, name
        assert text.split("\n")[0].rstrip().endswith((".", ":")), name


# Exceptions are not swallowed.


def broad(handler: ast.ExceptHandler) -> set[str]:
    """The names of a handler that catches more than it can know."""
    if handler.type is None:
        return {"everything"}
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {ast.unparse(kind).rpartition(".")[2] for kind in kinds}
    return names & {"Exception", "BaseException"}


def handlers() -> Iterator[tuple[str, ast.ExceptHandler]]:
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                yield f"{name}:{node.lineno}", node


def test_no_handler_of_everything_does_nothing() -> None:
    count = 0
    for place, handler in handlers():
        count += 1
        if not broad(handler):
            continue
        idle = (ast.Pass, ast.Continue, ast.Break)
        assert not all(isinstance(node, idle) for node in handler.body), place
        if len(handler.body) == 1 and isinstance(handler.body[0], ast.Return):
            value = handler.body[0].value
            assert value is not None, place
            assert not isinstance(value, ast.Constant), place
    assert count > 50


def test_who_catches_even_stop_and_exit_raises_them_again() -> None:
    """fdio.Stop is what a signal raises; only a forked child may end there."""
    for place, handler in handlers():
        if broad(handler) <= {"Exception"}:
            continue
        if place.startswith("qscan.limited:"):
            continue
        raises = [node for node in ast.walk(handler) if isinstance(node, ast.Raise)]
        assert raises, place


def test_the_tests_wait_for_conditions() -> None:
    """A pause says nothing; ``harness.wait_for`` does."""
    for path in sorted(Path(__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) != "time." + "sleep", path


def test_the_interpreter_is_one_that_is_supported() -> None:
    assert (3, 11) <= sys.version_info[:2] <= (3, 13)
