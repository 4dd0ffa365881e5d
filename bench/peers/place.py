"""What a peer is, and where one is set up."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from attrs import Factory, frozen


@frozen
class Upstream:
    """
    What all peers relay to, on loopback.

    @ivar ca_file: PEM file of the authority that vouches for it.
    """

    port: int
    tls: bool
    ca_file: Path

    @property
    def origin(self) -> str:
        """Its URL without a path."""
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}"


@frozen
class Place:
    """
    Where one peer is set up.

    @ivar folder: for its configuration and its logs; nobody else uses it.
    @ivar port: where it listens, on loopback.
    """

    folder: Path
    port: int
    upstream: Upstream

    def write(self, name: str, text: str) -> str:
        """Write one file of its configuration; returns the file's path."""
        path = self.folder / name
        path.write_text(text, "utf-8")
        return str(path)


@frozen
class Peer:
    """
    Something that relays.

    @ivar command: writes its configuration and says how to start it, in the foreground.
    @ivar lacks: what is missing here to run it, if something is.
    @ivar version: of all that it is made of.
    @ivar environ: variables that it needs.
    """

    name: str
    command: Callable[[Place], list[str]]
    lacks: Callable[[], str | None]
    version: Callable[[], str]
    environ: Mapping[str, str] = Factory(dict)


def lacks_program(name: str) -> str | None:
    """That a program is missing, if it is."""
    return None if shutil.which(name) else f"{name} is not installed"


def lacks_package(*names: str) -> str | None:
    """The first Python package that is missing, if one is."""
    for name in names:
        try:
            version(name)
        except PackageNotFoundError:
            return f"the Python package {name} is not installed"
    return None


def versions(*names: str) -> str:
    """Of Python packages, with their names."""
    return ", ".join(f"{name} {version(name)}" for name in names)


def first_line(*command: str) -> str:
    """What a program says first about itself."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return lines[0] if lines else ""
