"""No secret passes into the log, whoever logs it."""

from __future__ import annotations

import io
from pathlib import Path

import attrs
import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogEvent, Logger
from twisted.python.failure import Failure

from relay.config.keys import KeyFile
from relay.config.plan import Plan
from relay.config.settings import Settings
from relay.daemon.logs import JSONObserver, TextObserver
from relay.daemon.redaction import Redaction, keys_of
from relay.daemon.service import RelayService
from relay.rules.scrub import mask
from relay.upstreams.upstream import Upstream

AZURE = "0123456789abcdef0123456789abcdef"


def upstream(credential: object, name: str = "azure") -> Upstream:
    return Upstream("wss://azure.example/v1/realtime", name, credential=credential)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [TextObserver, JSONObserver])
def test_a_library_that_logs_a_key_logs_none(kind: type) -> None:
    written = io.StringIO()
    redaction = Redaction(written)
    redaction.keys = lambda: (AZURE,)
    log = Logger("some.library", observer=kind(redaction))
    log.debug("sending api-key: {key}", key=AZURE)
    try:
        raise ValueError(f"bad header {AZURE}")
    except ValueError:
        log.failure("it failed", Failure())
    log.info("authorization: Bearer sk-proj-aaaabbbbccccdddd")
    told = written.getvalue()
    assert AZURE[:8] not in told
    assert "sk-proj" not in told
    assert told.count("[redacted]") >= 3
    assert "sending api-key" in told


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcdefghijklmnop",
        "ek_abcdefghijklmnop",
        "rk_AbC-dEf_gHiJkLmN",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
    ],
)
def test_what_looks_like_a_credential_does_not_pass_whosever_it_is(secret: str) -> None:
    assert mask(f'{{"token": "{secret}", "next": 1}}') == '{"token": "[redacted]", "next": 1}'


@pytest.mark.parametrize("text", ["req_0123456789abcdef01234567", "task-force of twelve", "sk-1"])
def test_other_words_pass(text: str) -> None:
    assert mask(text) == text


def test_a_key_that_was_replaced_is_known_once_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "azure.key"
    path.write_text(AZURE)
    file = KeyFile(path, "upstream azure: key_file")
    plan = Plan(Settings(), (upstream(file), upstream("sk-plain-0123456789", "b")))
    assert keys_of(plan) == (AZURE, "sk-plain-0123456789")
    path.write_text("f" * 32)
    file()
    assert keys_of(plan)[0] == "f" * 32


def test_the_service_tells_of_the_keys_that_it_has_now() -> None:
    written = io.StringIO()
    redaction = Redaction(written)
    plan = Plan(Settings(admin=""), (upstream(AZURE),))
    service = RelayService(plan, reactor=MemoryReactorClock(), redaction=redaction)
    redaction.write(f"{AZURE}\n")
    service._plan = attrs.evolve(plan, upstreams=(upstream("f" * 32),))
    redaction.write("f" * 32 + "\n")
    assert written.getvalue() == "[redacted]\n[redacted]\n"


def test_a_line_without_a_secret_is_the_same() -> None:
    written = io.StringIO()
    event: LogEvent = {"log_format": "opened req_1 in 0.2 s", "log_time": 0.0}
    TextObserver(Redaction(written))(event)
    assert written.getvalue().endswith("opened req_1 in 0.2 s\n")
