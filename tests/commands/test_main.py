"""What C{realtime-relay} says without a command."""

from __future__ import annotations

import sys
from importlib.metadata import version

import pytest

from relay.commands.main import main
from relay.commands.simulate import simulate


def said(argument: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["realtime-relay", argument])
    main()
    return capsys.readouterr().out


def test_it_says_its_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said("--version", monkeypatch, capsys)
    assert found == f"realtime-relay {version('realtime-relay')}\n"


def test_the_simulator_says_the_same_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        simulate(["--version"])
    assert capsys.readouterr().out == f"realtime-relay {version('realtime-relay')}\n"


def test_the_help_names_the_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--version" in said("--help", monkeypatch, capsys)
