"""C{python -m bench}: measure all peers, print the tables, and say which bars hold."""

from __future__ import annotations

import argparse
import json
import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from attrs import asdict

from bench import bars, machine
from bench.figures import Outcome, Run, median, ratio
from bench.loads import LOADS, QUICK, Load, chosen, hurried
from bench.peers import EXTRA, PEERS
from bench.peers.place import Peer
from bench.rounds import Stage, one_run, raise_descriptors
from bench.tables import RIVALS, Table, load_table, number


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="What relaying costs.")
    parser.add_argument("--runs", type=int, help="times to repeat it all; 3, or 1 with --quick")
    parser.add_argument("--quick", action="store_true", help="shorter and less of it")
    parser.add_argument("--peers", help=f"of {', '.join(p.name for p in (*PEERS, *EXTRA))}")
    parser.add_argument("--loads", help="names or their first words: quiet-200,tls,handshakes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables")
    parser.add_argument("--charts", type=Path, metavar="FOLDER", help="draw SVG charts")
    return parser.parse_args()


def _peers(names: str | None) -> Sequence[Peer]:
    if names is None:
        return PEERS
    known = {peer.name: peer for peer in (*PEERS, *EXTRA)}
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        raise SystemExit(f"no peer is called {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names.split(",")]


def terminate(*_: object) -> NoReturn:
    """On TERM leave as on Control-C: no process may stay behind."""
    raise SystemExit(1)


def told(run: int, load: Load, peer: Peer, outcome: Outcome) -> None:
    """Print what one run found, as it goes."""
    said = f"not run: {outcome.not_run}"
    if outcome.not_run is None:
        said = f"{number(outcome.metrics[load.metric])} {load.metric}"
    failed = {kind: count for kind, count in outcome.failures.items() if count}
    print(f"run {run}: {load.name}, {peer.name}: {said}", failed or "", flush=True)


def _as_json(runs: Sequence[Run], loads: Sequence[Load], peers: Sequence[Peer]) -> dict[str, Any]:
    return {
        "machine": machine.describe(),
        "peers": {peer.name: peer.version() for peer in peers if not peer.lacks()},
        "loads": [asdict(load) for load in loads],
        "runs": [
            {
                load: {peer: asdict(outcome) for peer, outcome in cells.items()}
                for load, cells in run.items()
            }
            for run in runs
        ],
        "medians": {
            load.name: {peer.name: _medians(runs, load, peer.name) for peer in peers}
            for load in loads
        },
        "bars": [
            {
                "what": bar.what,
                "unit": bar.unit,
                "limit": bar.limit,
                "measured": bar.figure(runs),
                "verdict": bar.verdict(runs),
            }
            for bar in bars.BARS
        ],
    }


def _medians(runs: Sequence[Run], load: Load, peer: str) -> dict[str, float | None]:
    metrics = {m for run in runs for m in run.get(load.name, {}).get(peer, Outcome()).metrics}
    medians = {metric: median(runs, load.name, peer, metric) for metric in sorted(metrics)}
    for rival in RIVALS:
        medians[f"times_{rival}"] = ratio(runs, load.name, peer, rival, load.metric)
    return medians


def _tables(runs: Sequence[Run], loads: Sequence[Load], peers: Sequence[Peer]) -> list[Table]:
    names = [peer.name for peer in peers]
    return [bars.bars_table(runs), *(load_table(runs, load, names) for load in loads)]


def _setting(peers: Sequence[Peer]) -> list[str]:
    """What it is measured on and with, a line each."""
    of = [f"{key}: {value}" for key, value in machine.describe().items()]
    return [*of, *(f"{p.name}: {p.lacks() or p.version()}" for p in peers)]


def main() -> None:
    """Measure, and show it in every way that was asked for."""
    signal.signal(signal.SIGTERM, terminate)
    arguments = _arguments()
    peers = _peers(arguments.peers)
    loads = chosen(QUICK if arguments.quick else LOADS, arguments.loads)
    if arguments.quick:
        loads = [hurried(load) for load in loads]
    begun = time.monotonic()
    print(*_setting(peers), "", sep="\n")
    stage = Stage(raise_descriptors())
    times = arguments.runs or (1 if arguments.quick else 3)
    runs = [one_run(stage, loads, peers, partial(told, run)) for run in range(1, times + 1)]
    tables = _tables(runs, loads, peers)
    print("", *(table.as_text() for table in tables), sep="\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(_as_json(runs, loads, peers), indent=1) + "\n")
    if arguments.markdown:
        lines = [f"- {line}" for line in _setting(peers)]
        said = ["Measured like this:", "", *lines, ""]
        text = "\n".join([*said, *(table.as_markdown() for table in tables)])
        arguments.markdown.write_text(text, "utf-8")
    if arguments.charts:
        # matplotlib takes a second to import, and writes to its own cache.
        from bench.charts import draw

        draw(runs, loads, [peer.name for peer in peers], arguments.charts)
    print(f"It took {(time.monotonic() - begun) / 60:.1f} minutes.")


if __name__ == "__main__":
    main()
