"""Keys that were taken out on another relay, while an older file here still has them."""

from __future__ import annotations

import os
from pathlib import Path

from relay.config.access import ClientKey
from relay.daemon.withheld import Withheld

KEYS = (ClientKey("ann", b"a"), ClientKey("ben", b"b"))


def test_a_key_is_refused_until_the_file_here_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("")
    withheld = Withheld()
    keys = withheld.without(lambda: KEYS, [str(path)])
    os.utime(path, (1000, 1000))
    assert keys() == KEYS
    withheld.add(b"a", 1000.5)
    assert [key.subject for key in keys()] == ["ben"]
    os.utime(path, (1001, 1001))
    assert keys() == KEYS, "it is the later word"
    withheld.add(b"a", 900)
    assert keys() == KEYS
    withheld.add(b"a", 1100)
    assert [key.subject for key in keys()] == ["ben"]
    assert b"a" in withheld
    assert b"b" not in withheld


def test_a_file_that_is_gone_is_as_old_as_what_was_read_of_it(tmp_path: Path) -> None:
    withheld = Withheld()
    withheld.add(b"a", 1.0)
    for files in ([], [str(tmp_path / "gone")]):
        assert withheld.without(lambda: KEYS, files)() == KEYS[1:]
