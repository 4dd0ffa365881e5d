"""Build the project and install it as users do, in virtual environments that hold nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from urllib.request import urlopen

from attrs import frozen
from processes import LOOPBACK, SECONDS, address_of, environ, running

PROJECT = Path(__file__).parents[1]

INSTALL_SECONDS = 300
"""Until a build or an installation counts as hung."""

_BOUND = re.compile(r"([\w-]+(?:\[\w+\])?) >= ([\d.]+)(?:, < [\d.]+)?")


def output_of(command: list[str], folder: Path, seconds: float = SECONDS) -> str:
    """
    Run a command to its end.

    @return: its standard output.
    @raise AssertionError: with all it said, if it fails.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"{command} in {folder}:\n{done.stdout}{done.stderr}"
    return done.stdout


def copy_checkout(folder: Path) -> None:
    """Copy what git knows or would take: nothing that was built, installed or cached here."""
    listed = output_of(["git", "ls-files", "-z", "-co", "--exclude-standard"], PROJECT)
    for name in listed.split("\0"):
        if name and (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)


@frozen
class Distributions:
    """What a release would publish."""

    wheel: Path
    sdist: Path


def build(checkout: Path, folder: Path) -> Distributions:
    """Make the source distribution, and the wheel from that."""
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(checkout)]
    output_of(command, folder, INSTALL_SECONDS)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Distributions(wheel, sdist)


@frozen
class Environment:
    """
    A virtual environment.

    @ivar folder: where it is.
    @ivar elsewhere: an empty folder to run its commands in.
    """

    folder: Path
    elsewhere: Path

    @classmethod
    def create(cls, parent: Path, python: str = sys.executable) -> Environment:
        """An environment of this Python."""
        folder, elsewhere = parent / "environment", parent / "elsewhere"
        elsewhere.mkdir()
        output_of([python, "-m", "venv", str(folder)], parent, INSTALL_SECONDS)
        return cls(folder, elsewhere)

    def path(self, command: str) -> str:
        """Where one of its commands is."""
        return str(self.folder / "bin" / command)

    def run(self, command: str, *arguments: str) -> str:
        """Run one of its commands, away from any checkout."""
        return output_of([self.path(command), *arguments], self.elsewhere)

    def pip(self, *arguments: str) -> str:
        """Install or uninstall."""
        command = [self.path("python"), "-m", "pip", *arguments]
        return output_of(command, self.elsewhere, INSTALL_SECONDS)

    def install(self, *requirements: str) -> None:
        """Install, without spending time on bytecode of modules that nothing imports."""
        self.pip("install", "--no-compile", *requirements)

    def plugins(self) -> set[str]:
        """The commands that C{twistd} offers."""
        listed = self.run("twistd", "--help").partition("Commands:")[2]
        return set(re.findall(r"^ {4}(\S+) ", listed, re.MULTILINE))

    def runs_demo(self) -> bool:
        """Whether a demo relay starts and says that it is well."""
        twistd = [self.path("twistd"), "--nodaemon", "--pidfile="]
        command = [*twistd, "realtime-relay", "--demo", "--listen", LOOPBACK, "--admin", ""]
        with (
            running(command, self.elsewhere) as process,
            urlopen(f"{address_of(process)}/healthz", timeout=SECONDS) as answer,
        ):
            return bool(answer.status == 200)


def find_python(version: str) -> str | None:
    """
    A Python of this version, on C{PATH} or of pyenv.

    @param version: like C{3.12}.
    """
    candidates = [shutil.which(f"python{version}")]
    if root := os.environ.get("PYENV_ROOT"):
        found = Path(root, "versions").glob(f"{version}.*/bin/python")
        candidates += [str(python) for python in sorted(found)]
    return next((python for python in candidates if python and _works(python)), None)


def _works(python: str) -> bool:
    """pyenv puts a command on C{PATH} for each Python it has, which fails unless it is chosen."""
    return subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0


def setup_cfg() -> ConfigParser:
    """What the project says of itself."""
    config = ConfigParser(interpolation=None)
    config.read(PROJECT / "setup.cfg", "utf-8")
    return config


def lower_bounds(requirements: str) -> dict[str, str]:
    """
    Each requirement at the oldest version it allows.

    @param requirements: as C{setup.cfg} writes them, one a line.
    @raise AssertionError: if one has no lower bound.
    """
    bounds = {}
    for line in requirements.split("\n"):
        bound = _BOUND.fullmatch(line)
        assert bound or not line or line.startswith("%("), f"no lower bound: {line}"
        if bound:
            bounds[bound[1]] = f"{bound[1]}=={bound[2]}"
    return bounds
