"""
C{python -m bench.compare BASE HEAD}: what a change to the relay costs or saves.

Both revisions are checked out, and the relay of each is measured with the same dependencies, in
turns, several times.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from attrs import evolve

from bench.__main__ import terminate, told
from bench.children import ROOT
from bench.figures import Outcome, failures, median, not_run, ratio
from bench.loads import LOADS, Load, chosen, hurried
from bench.peers.place import Peer
from bench.peers.relays import FAST, relay
from bench.rounds import Stage, one_run, raise_descriptors, scratch
from bench.tables import COLUMNS, MARK, Table, number

USUAL = "quiet,busy,tls,rtt,handshakes,idle-5000"

ASK = """
import json, relay
kinds = relay.Settings, relay.Limits
fields = [field.name for kind in kinds for field in kind.__attrs_attrs__]
print(json.dumps({"file": relay.__file__, "fields": fields}))
"""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("base", help="a git revision")
    parser.add_argument("head", help="another")
    parser.add_argument("--rounds", type=int, default=3, help="times to measure each (3)")
    parser.add_argument("--quick", action="store_true", help="measure for less long")
    parser.add_argument("--loads", default=USUAL, help=f"names or their first words ({USUAL})")
    parser.add_argument("--plane", default="splice", help="where a revision has several (splice)")
    return parser.parse_args()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


@contextmanager
def _checkout(revision: str, folder: Path) -> Iterator[Path]:
    """A working tree of one revision, which git has forgotten afterwards."""
    commit = _git("rev-parse", "--verify", f"{revision}^{{commit}}")
    _git("worktree", "add", "--detach", str(folder), commit)
    try:
        yield folder
    finally:
        # What else goes wrong should not be hidden behind this.
        with suppress(SystemExit):
            _git("worktree", "remove", "--force", str(folder))


def _relay(name: str, plane: str, checkout: Path) -> Peer:
    """
    The relay of a checkout, with the plane if it can be chosen there.

    @raise SystemExit: if Python would import the relay from somewhere else.
    """
    command = [sys.executable, "-P", "-c", ASK]
    environ = {"PYTHONPATH": str(checkout)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} cannot be imported:\n{done.stderr}")
    said = json.loads(done.stdout)
    if not Path(said["file"]).is_relative_to(checkout):
        raise SystemExit(f"{name} is imported from elsewhere")
    wanted = {"plane": plane, "admin": ""}
    own = {key: value for key, value in wanted.items() if key in said["fields"]}
    for key in wanted.keys() - own.keys():
        print(f"{name} has no setting {key}")
    limits = {key: value for key, value in FAST.items() if key in said["fields"]}
    return relay(name, own, checkout, limits)


def _row(runs: Sequence[Mapping[str, Mapping[str, Outcome]]], load: Load) -> list[str]:
    names = ("base", "head")
    marks = [MARK if failures(runs, load.name, name) else "" for name in names]
    values = [number(median(runs, load.name, name, load.metric)) for name in names]
    change = number(ratio(runs, load.name, "head", "base", load.metric))
    unit = {metric: heading for heading, metric in COLUMNS[load.mode]}[load.metric]
    figures = [value + mark for value, mark in zip(values, marks, strict=True)]
    return [load.name, *figures, change, unit]


def _notes(runs: Sequence[Mapping[str, Mapping[str, Outcome]]], load: Load) -> Iterator[str]:
    for name in ("base", "head"):
        if failed := failures(runs, load.name, name):
            yield f"{MARK} {load.name}, {name}: in all rounds together {failed}"
        if reason := not_run(runs, load.name, name):
            yield f"{load.name}, {name}: not run: {reason}"


def main() -> None:
    """Measure both revisions in turns, and print how they differ."""
    signal.signal(signal.SIGTERM, terminate)
    arguments = _arguments()
    # Each is for both, whichever peers it is for otherwise.
    loads = [evolve(load, only=()) for load in chosen(LOADS, arguments.loads)]
    if arguments.quick:
        loads = [hurried(load) for load in loads]
    stage = Stage(raise_descriptors())
    with (
        scratch() as folder,
        _checkout(arguments.base, folder / "base") as base,
        _checkout(arguments.head, folder / "head") as head,
    ):
        peers = [_relay("base", arguments.plane, base), _relay("head", arguments.plane, head)]
        runs = []
        for number_of_round in range(arguments.rounds):
            # Who comes first changes, for a machine gets warmer or slower in one direction.
            turn = peers[:: -1 if number_of_round % 2 else 1]
            runs.append(one_run(stage, loads, turn, partial(told, number_of_round + 1)))
    headings = ["", f"base, {arguments.base}", f"head, {arguments.head}", "times base", ""]
    rows = [_row(runs, load) for load in loads]
    notes = [note for load in loads for note in _notes(runs, load)]
    print("", Table("base and head", headings, rows, notes).as_text(), sep="\n")


if __name__ == "__main__":
    main()
