"""Run the scripts in C{node/} with the npm packages that its C{package.json} names."""

from __future__ import annotations

import mimetypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from processes import SECONDS, environ

FOLDER = Path(__file__).parent / "node"
MODULES = FOLDER / "node_modules"
CLIENT = Path(__file__).parents[2] / "relay" / "web" / "static" / "realtime-client.js"

OLDEST = 18
"""The version of node that these tests were tried with; the packages ask for 22 and run with it."""

NATIVE = 22
"""The first version with a WebSocket of its own; 20 has one when asked by a flag."""

BUNDLING = 20
"""The oldest version that Vite runs with."""

INSTALL_SECONDS = 300
NPM_INSTALL = "npm install --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error"


def _version() -> int:
    found = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return int(found.removeprefix("v").split(".")[0])


def _flags() -> list[str]:
    """What makes an older node have a WebSocket of its own, as newer ones do."""
    return ["--experimental-websocket", "--no-warnings"] if _version() < NATIVE else []


def lacking(oldest: int = OLDEST) -> str | None:
    """What there must be and is not."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    version = _version()
    return f"node is {version}, not {oldest} or newer" if version < oldest else None


def install(folder: Path = FOLDER) -> None:
    """Install a folder's packages, if those that are there are not the right ones."""
    wanted = (folder / "package.json").read_bytes()
    installed = folder / "node_modules" / ".installed"
    if installed.is_file() and installed.read_bytes() == wanted:
        return
    _done(NPM_INSTALL, folder)
    installed.write_bytes(wanted)


def _done(command: str, folder: Path) -> None:
    """Run it, which must end well."""
    done = subprocess.run(
        command.split(),
        cwd=folder,
        env=environ(NODE_ENV="development"),
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def bundled(folder: Path, out: Path) -> dict[str, tuple[str, bytes]]:
    """
    Bundle a folder's C{index.html} by Vite, for development.

    @return: the type and content of each file, by its path.
    """
    _done(f"npx vite build --mode development --outDir {out} --emptyOutDir", folder)
    return {
        f"/{path.relative_to(out)}": (mimetypes.guess_type(path)[0] or "", path.read_bytes())
        for path in out.rglob("*")
        if path.is_file()
    }


def require(oldest: int = OLDEST) -> None:
    """Install the packages, or skip and say why."""
    lack = lacking(oldest)
    if lack:
        pytest.skip(lack)
    install()


def command() -> list[str]:
    """Node, with a WebSocket of its own."""
    return ["node", *_flags()]


def ran(script: str, *arguments: str, ca_file: Path) -> subprocess.CompletedProcess[str]:
    """
    Run a script to its end, however that comes.

    @param ca_file: PEM of whom it trusts.
    """
    return subprocess.run(
        [*command(), os.fspath(FOLDER / script), *arguments],
        env=environ(NODE_EXTRA_CA_CERTS=os.fspath(ca_file)),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def run(script: str, *arguments: str, ca_file: Path) -> str:
    """
    Run a script, which must end well, and return what it printed.

    @param ca_file: PEM of whom it trusts.
    """
    done = ran(script, *arguments, ca_file=ca_file)
    assert done.returncode == 0, f"{script}: {done.stderr}"
    return done.stdout
