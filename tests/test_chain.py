# SPDX-License-Identifier: MIT
"""The real chain: swaks, tcpserver with tcprules, an SMTP server, qscan-queue, clamd
under supervise, and the strict qmail-queue at the end.

As a user that owns nothing but the spool, as qmaild does, because tcpserver makes it
so. The SMTP servers are qpsmtpd (a real one that drives the protocol of qmail-queue
and answers every refusal with 451) and notqmail's side of ours, which reads reject
texts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import (
    EICAR_NAME,
    Installation,
    RealClamd,
    added_lines,
    infected,
    interpreter,
    log_fields,
    multipart,
    open_to_all,
    plain,
)

UID = GID = 64010
HERE = Path(__file__).parent
#: tcprules decides by them what becomes of mail.
SCANNED, TRUSTED, DENIED = "127.0.0.1", "127.0.0.2", "127.0.0.3"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="tcpserver changes the user id"),
    pytest.mark.skipif(
        not open_to_all(Path(interpreter())),
        reason="this interpreter is closed to other users",
    ),
]


class Server:
    """tcpserver on a free port with an SMTP server behind it."""

    def __init__(self, installation: Installation, command: list[str]) -> None:
        self.installation = installation
        root = installation.root
        rules = root / "tcp.smtp"
        rules.write_text(
            f'{SCANNED}:allow,QMAILQUEUE="{installation.program}"\n'
            f"{TRUSTED}:allow\n"
            ":deny\n"
        )
        database = root / "tcp.smtp.cdb"
        with rules.open("rb") as text:
            subprocess.run(
                ["tcprules", database, root / "tcp.smtp.tmp"], stdin=text, check=True
            )
        self.log = root / "server.log"
        with self.log.open("wb") as log:
            # No look-ups of names; the number of the port goes to stdout.
            options = ["-1", "-HRl0", "-c8", f"-x{database}", f"-u{UID}", f"-g{GID}"]
            self.process = subprocess.Popen(
                ["tcpserver", *options, "127.0.0.1", "0", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                env={
                    "PATH": "/usr/bin:/bin",
                    "QPSMTPD_CONFIG": str(root / "config"),
                },
            )
        assert self.process.stdout
        with self.process.stdout as answer:
            self.port = int(answer.readline())

    def close(self) -> None:
        """Stop listening."""
        self.process.terminate()
        self.process.wait(20)

    def lines(self) -> list[dict[str, str]]:
        """The log lines of qscan-queue."""
        text = self.log.read_text("latin-1")
        return [log_fields(x) for x in text.splitlines() if x.startswith("qscan: ")]

    def send(self, message: bytes, client: str = SCANNED) -> tuple[int, str]:
        """Send a message with swaks: its exit code and the whole dialogue."""
        data = b"".join(
            (b"." if line.startswith(b".") else b"") + line + b"\r\n"
            for line in message.removesuffix(b"\n").split(b"\n")
        )
        file = self.installation.root / f"data.{threading.get_ident()}"
        file.write_bytes(data + b".")  # swaks ends the line
        arguments = ["--server", "127.0.0.1", "--port", str(self.port)]
        arguments += ["--local-interface", client, "--helo", "client.example.org"]
        arguments += ["--from", "sender@example.org", "--to", "rcpt@example.net"]
        arguments += ["--no-data-fixup", "--data", f"@{file}"]
        done = subprocess.run(
            ["swaks", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        )
        return done.returncode, (done.stdout + done.stderr).decode("latin-1")


MakeServer = Callable[[str], Server]

#: swaks(1), EXIT CODES: the server did not want the connection, or the data.
SWAKS_NO_BANNER = (2, 6, 21)
SWAKS_DATA_REFUSED = 26


@pytest.fixture
def installation(
    make_installation: Callable[[str], Installation], own_clamd: Callable[[], RealClamd]
) -> Installation:
    """As conftest's, but with a clamd that may be stopped, and for another user."""
    server = own_clamd()
    made = make_installation(server.address)
    made.configure({"clamd.retry_seconds": 1})
    made.chown(UID, GID)
    made.allow({6})
    made.clamd = server
    return made


@pytest.fixture
def serve(installation: Installation) -> Iterator[MakeServer]:
    """A function: ``qpsmtpd`` or ``notqmail`` -> that server."""
    made: list[Server] = []

    def start(kind: str) -> Server:
        root = installation.root
        if kind == "qpsmtpd":
            installation.configure({"reject.dialect": "plain"})
            command = ["perl", "-T", str(copied(HERE / "qpsmtpd_start.pl", root))]
            qpsmtpd_config(root, installation.queue.path)
        else:
            program = copied(HERE / "notqmail.py", root)
            queue = str(installation.queue.path)
            command = [interpreter(), "-IS", str(program), queue]
        made.append(Server(installation, command))
        return made[-1]

    yield start
    for one in made:
        one.close()


def copied(program: Path, root: Path) -> Path:
    """A copy that every user can read."""
    target = root / program.name
    shutil.copy(program, target)
    target.chmod(0o644)
    return target


def qpsmtpd_config(root: Path, queue: Path) -> None:
    """The folder QPSMTPD_CONFIG."""
    folder = root / "config"
    folder.mkdir()
    spool = root / "qpsmtpd"
    spool.mkdir(mode=0o700)
    os.chown(spool, UID, GID)
    for name, text in {
        "plugins": f"rcpt_ok\nqueue/qmail-queue {queue}\n",
        "plugin_dirs": "/usr/share/qpsmtpd/plugins\n",
        "spool_dir": f"{spool}\n",
        "me": "mail.example.net\n",
        "rcpthosts": "example.net\n",
        "loglevel": "4\n",
    }.items():
        (folder / name).write_text(text)


MESSAGES = {
    "text": plain(1),
    "dots and long lines": plain(2, b".\n..\n.x\n" + b"y" * 990 + b"\nend\n"),
    "8-bit": plain(3, bytes(range(128, 256)) + b"\n"),
    "attachment": multipart((b"image/png", b"a.png", os.urandom(200_000)), number=4),
}


@pytest.mark.parametrize("kind", ["qpsmtpd", "notqmail"])
def test_clean_mail_arrives_byte_for_byte(serve: MakeServer, kind: str) -> None:
    server = serve(kind)
    for number, message in enumerate(MESSAGES.values()):
        code, dialogue = server.send(message)
        assert code == 0, dialogue
        delivered = server.installation.deliveries()
        assert len(delivered) == number + 1
        (one,) = [d for d in delivered if d.number == number + 1]
        # The server puts its own Received on top, as every server does.
        assert one.message.endswith(message)
        lines = one.message[: -len(message)].split(b"\n")
        assert lines[0].startswith(b"X-Qscan: ")
        assert any(line.startswith(b"Received: ") for line in lines)
        assert one.envelope == b"Fsender@example.org\0Trcpt@example.net\0\0"
    state = server.installation.deliveries()[0].state
    assert state["ids"] == (UID, UID, GID, GID)
    assert state["groups"] == [GID]
    environment = state["environment"]
    assert isinstance(environment, list)
    assert b"TCPREMOTEIP=127.0.0.1" in environment
    assert all(line["verdict"] == "clean" for line in server.lines())
    assert {line["ip"] for line in server.lines()} == {SCANNED}


def test_qpsmtpd_and_qscan_add_nothing_but_their_own_lines(serve: MakeServer) -> None:
    server = serve("qpsmtpd")
    message = MESSAGES["dots and long lines"]
    received = {}
    for client in (TRUSTED, SCANNED):
        assert server.send(message, client)[0] == 0
        (one,) = server.installation.deliveries()
        received[client] = one.message
        server.installation.queue.forget()
    direct = received[TRUSTED]
    top = direct[: -len(message)]
    scanned = received[SCANNED]
    lines = added_lines(scanned, scanned[-len(top) - len(message) :])
    assert lines[0].startswith(b"X-Qscan: ")


def test_qpsmtpd_refuses_a_virus(serve: MakeServer) -> None:
    server = serve("qpsmtpd")
    code, dialogue = server.send(infected())
    assert code == SWAKS_DATA_REFUSED, dialogue
    assert "451 " in dialogue
    assert not server.installation.deliveries()
    assert not server.installation.queue.starts
    (line,) = server.lines()
    assert line["verdict"] == "infected"
    assert line["exit"] == "31"
    assert EICAR_NAME in line["findings"]


def test_notqmail_refuses_a_virus_with_its_name_for_good(serve: MakeServer) -> None:
    server = serve("notqmail")
    code, dialogue = server.send(infected())
    assert code == SWAKS_DATA_REFUSED, dialogue
    # swaks shows it on both of its outputs.
    (answer,) = {line for line in dialogue.splitlines() if line.startswith("<** 5")}
    assert answer.startswith("<** 554 message refused: infected with ")
    assert EICAR_NAME in answer
    assert not server.installation.deliveries()
    # The session goes on: nothing of the text was taken for another answer.
    assert "221 mail.example.net" in dialogue


def test_tcprules_decides_for_each_network(serve: MakeServer) -> None:
    server = serve("qpsmtpd")
    assert server.send(infected(7), SCANNED)[0] == SWAKS_DATA_REFUSED
    assert not server.installation.deliveries()
    # This network has no QMAILQUEUE: straight to qmail-queue.
    assert server.send(infected(8), TRUSTED)[0] == 0
    (delivery,) = server.installation.deliveries()
    assert delivery.number == 8
    assert b"X-Qscan" not in delivery.message
    assert server.send(plain(9), DENIED)[0] in SWAKS_NO_BANNER
    assert len(server.lines()) == 1


@pytest.mark.parametrize("kind", ["qpsmtpd", "notqmail"])
def test_without_clamd_mail_waits_and_then_arrives(
    serve: MakeServer, installation: Installation, kind: str
) -> None:
    clamd = installation.clamd
    assert clamd
    server = serve(kind)
    clamd.down()
    code, dialogue = server.send(plain(1))
    assert code == SWAKS_DATA_REFUSED, dialogue
    assert "<** 451 " in dialogue
    assert not installation.deliveries()
    assert server.lines()[-1]["verdict"] == "deferred"
    clamd.up()
    code, dialogue = server.send(plain(1))
    assert code == 0, dialogue
    assert [one.number for one in installation.deliveries()] == [1]


def test_a_clamd_restarted_under_traffic_passes_and_loses_nothing(
    serve: MakeServer, installation: Installation
) -> None:
    clamd = installation.clamd
    assert clamd
    installation.configure({"clamd.retry_seconds": 20})
    server = serve("notqmail")
    answers: dict[int, int] = {}
    over = threading.Event()

    def traffic(first: int) -> None:
        number = first
        while not over.is_set():
            make = infected if number % 3 == 0 else plain
            answers[number] = server.send(make(number))[0]
            number += 2

    workers = [threading.Thread(target=traffic, args=(first,)) for first in (0, 1)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(2):
            clamd.down()
            clamd.up()
    finally:
        over.set()
        for worker in workers:
            worker.join()
    wanted = {n: SWAKS_DATA_REFUSED if n % 3 == 0 else 0 for n in answers}
    assert answers == wanted
    delivered = sorted(one.number for one in installation.deliveries())
    assert delivered == sorted(n for n, code in wanted.items() if code == 0)


def test_the_sweep_as_the_same_user(installation: Installation) -> None:
    def become() -> None:
        os.setgroups([])
        os.setgid(GID)
        os.setuid(UID)

    stale = installation.work / "5f000000.99999.0123456789ab"
    stale.mkdir(mode=0o700)
    (stale / "message").write_bytes(b"left behind")
    for path in (stale, stale / "message"):
        os.chown(path, UID, GID)
    # Long ago, for want of the locked file by which a sweep knows the living.
    os.utime(stale, (0, 0))
    done = subprocess.run(
        [installation.program, "-z"],
        preexec_fn=become,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done
    assert not installation.entries()


def test_the_python_of_the_launcher_is_no_shim(installation: Installation) -> None:
    first = installation.program.read_text().splitlines()[0]
    assert first == f"#!{interpreter()} -IS"
