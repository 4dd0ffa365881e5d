"""What the commands that are an upstream say of a file that they cannot replay."""

from __future__ import annotations

from pathlib import Path

import pytest
from recording.recorded import file_of, said

from relay.commands.simulate import ReplayOptions, replay, simulate

MISTAKES: list[tuple[list[str], str]] = [
    ([], "name one FILE to replay"),
    (["one", "two"], "name one FILE to replay"),
    (["f", "--bogus"], "option --bogus not recognized"),
    (["none.jsonl"], "none.jsonl: No such file or directory"),
    (["bad.jsonl"], "bad.jsonl: line 1: not JSON"),
]


@pytest.mark.parametrize(("arguments", "line"), MISTAKES)
def test_a_mistake_is_one_line(
    arguments: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.jsonl").write_text("PNG\n")
    with pytest.raises(SystemExit) as raised:
        replay(arguments)
    assert raised.value.code == f"realtime-relay: {line}"


def test_the_simulator_says_the_same_of_its_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as raised:
        simulate(["--replay", "none.jsonl"])
    assert raised.value.code == "realtime-relay: none.jsonl: No such file or directory"


def test_both_commands_serve_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(file_of([said(0, "upstream", "a")], None))
    served: list[object] = []
    monkeypatch.setattr("relay.commands.simulate.react", lambda *asked: served.append(asked))
    replay([str(path), "--listen", "tcp:1"])
    simulate(["--listen", "tcp:1", "--replay", str(path)])
    assert served[0] == served[1]
    simulate([])
    assert served[2] == (served[0][0], ("tcp:8081:interface=127.0.0.1", None))  # type: ignore[index]


def test_the_file_stands_before_or_behind_the_options() -> None:
    for arguments in (["--listen", "tcp:1", "f"], ["f", "--listen=tcp:1"], ["f", "--l", "tcp:1"]):
        options = ReplayOptions()
        options.parseOptions(arguments)
        assert (options["listen"], options["replay"]) == ("tcp:1", "f")
