"""A systemd of its own, booted in namespaces; what it writes to the machine is thrown away."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from environments import INSTALL_SECONDS
from processes import environ, until

TOOLS = ("unshare", "nsenter", "systemctl", "ip")
SYSTEMD = Path("/lib/systemd/systemd")

SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin"
"""The C{PATH} there: a Python in a home folder is out of the units' reach."""

BOOT = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
for name in etc var opt; do
    mkdir "$1/$name" "$1/$name.work"
    mount -t overlay -o "lowerdir=/$name,upperdir=$1/$name,workdir=$1/$name.work" overlay "/$name"
done
mount -t tmpfs tmpfs /run
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --bind /proc/sys /proc/sys
mount -o remount,ro,bind /proc/sys
mount --make-rshared /
: >/etc/fstab
[ -s /etc/machine-id ] || systemd-id128 new >/etc/machine-id
cd /etc/systemd/system
rm -rf ./*.wants
for target in sysinit local-fs sockets; do
    for unit in $(ls "/lib/systemd/system/$target.target.wants" | grep -v journald); do
        ln -sf /dev/null "$unit"
    done
done
ln -sf /dev/null systemd-logind.service
printf '[Unit]\\nRequires=basic.target\\nAfter=basic.target\\n' >booted.target
exec env -i PATH="$PATH" container=other /lib/systemd/systemd --system --unit=booted.target
"""
"""Nothing of the machine itself is started. Its sysctls cannot be written."""


def missing() -> str | None:
    """What this machine lacks for it."""
    if os.geteuid() != 0:
        return "needs root"
    tools = [tool for tool in TOOLS if shutil.which(tool) is None]
    tools += [] if SYSTEMD.exists() else [str(SYSTEMD)]
    return f"no {', '.join(tools)}" if tools else None


def unified() -> Path:
    """Where the machine's version 2 of cgroups is."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return next(Path(mount[1]) for mount in mounts if mount[2] == "cgroup2")


class Booted:
    """One that runs."""

    def __init__(self, pid: int, folder: Path) -> None:
        self._enter = ["nsenter", "--target", str(pid), "--mount", "--pid", "--cgroup", "--uts"]
        self._folder = folder

    def run(self, script: str) -> str:
        """
        Run a script there, in the folder.

        @return: its standard output.
        @raise AssertionError: with all it said, if a line of it fails.
        """
        command = [*self._enter, f"--wdns={self._folder}", "bash", "-e", "-c", script]
        done = subprocess.run(
            command,
            env=environ(PATH=SYSTEM),
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def shown(self, name: str) -> str:
        """A property of the relay's service."""
        return self.run(f"systemctl show --value --property={name} realtime-relay").strip()

    def is_up(self) -> bool:
        """Whether it has booted."""
        command = [*self._enter, "systemctl", "is-system-running"]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return said.strip() in ("running", "degraded")


@contextmanager
def booted(folder: Path, temporary: Path) -> Iterator[Booted]:
    """
    It, in the network of this machine.

    @param folder: where its scripts run.
    @param temporary: an empty folder of this machine.
    """
    cgroup = unified() / f"booted-{os.getpid()}"
    cgroup.mkdir()
    spaces = ["--mount", "--pid", "--cgroup", "--uts", "--ipc", "--fork", "--kill-child"]
    boot = ["unshare", *spaces, "--mount-proc", "bash", "-c", BOOT, "sh", str(temporary)]
    join = ["sh", "-c", 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"', "sh", str(cgroup), *boot]
    with (temporary.parent / "boot.log").open("wb") as log:
        process = subprocess.Popen(join, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        until(lambda: children.read_text().strip())
        system = Booted(int(children.read_text()), folder)
        until(system.is_up)
        yield system
    finally:
        process.kill()
        process.wait()
        until(lambda: not cgroup_is_used(cgroup))
        for path, _, _ in os.walk(cgroup, topdown=False):
            os.rmdir(path)


def cgroup_is_used(cgroup: Path) -> bool:
    """Whether a process of it is still there."""
    return "populated 1" in (cgroup / "cgroup.events").read_text()
