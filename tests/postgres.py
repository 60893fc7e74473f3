"""A PostgreSQL server of the tests' own, on loopback: Debian's, with its data in a temporary folder."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.absent import absent

DRIVER = "org.postgresql:postgresql:42.7.14"


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The JDBC address of a running server's database; skips where no server is installed, fails there in CI."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        absent("needs a PostgreSQL server (Debian: apt-get install postgresql)")
    programs, data, port = found[-1], folder / "data", _free_port()
    # The server refuses to run as root; Debian's package brings a user for it.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    data.mkdir()
    if as_user:
        shutil.chown(data, "postgres")
        for parent in (folder, *folder.parents):
            if parent != Path(parent.root):
                parent.chmod(parent.stat().st_mode | 0o011)

    def run(program: str, *arguments: str) -> None:
        ended = subprocess.run(
            [*as_user, str(programs / program), "-D", str(data), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd="/",
        )
        assert ended.returncode == 0, ended.stdout

    run("initdb", "-U", "shop", "-A", "trust", "--no-sync")
    server = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    run("pg_ctl", "-w", "-l", str(data / "log"), "-o", server, "start")
    try:
        yield f"jdbc:postgresql://127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-m", "immediate", "stop")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
