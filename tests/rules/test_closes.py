"""The close table, in both directions and for every number."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rules import closes
from relay.rules.closes import (
    MAX_REASON,
    Close,
    EndingCode,
    Side,
    crossing,
    failing,
    fault,
    reply,
)

SIDES: tuple[Side, ...] = get_args(Side)
PASSED = [1000, 1001, 1003, 1007, 1008, 1009, 1011, 1012, 1013]
TRANSLATED = [1002, 1010, 1014, 1015]
ILLEGAL = [0, 1, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535]

both_sides = pytest.mark.parametrize("side", SIDES)


def may_be_sent(code: int | None) -> bool:
    """RFC 6455, 7.4: what may stand in a Close frame."""
    if code is None or 3000 <= code <= 4999:
        return True
    return 1000 <= code <= 1014 and code not in (1004, 1005, 1006)


class TestCrossing:
    @both_sides
    @pytest.mark.parametrize("code", [*PASSED, 3000, 3999, 4000, 4999])
    def test_codes_that_mean_something_cross_with_their_reason(self, side: Side, code: int) -> None:
        assert crossing(side, code, "why") == Close(code, "why")

    @both_sides
    def test_a_close_without_a_code_crosses_without_one(self, side: Side) -> None:
        assert crossing(side, None, "") == Close(None)

    @both_sides
    @pytest.mark.parametrize("code", [*TRANSLATED, *ILLEGAL])
    def test_codes_of_one_hop_and_invalid_codes_become_1011(self, side: Side, code: int) -> None:
        close = crossing(side, code, "theirs")
        assert close == Close(1011, f"relay: {side} fault: close code {code}")

    @both_sides
    def test_every_received_number_crosses_as_a_code_that_may_be_sent(self, side: Side) -> None:
        sent = {crossing(side, code, "").code for code in range(65536)}
        assert sent == {*PASSED, *range(3000, 5000)}
        assert all(map(may_be_sent, sent))


class TestReply:
    @pytest.mark.parametrize("code", [*PASSED, 1002, 1010, 1014, 3000, 4999])
    def test_the_sender_gets_its_own_code_back(self, code: int) -> None:
        assert reply(code) == Close(code)

    def test_a_close_without_a_code_is_answered_without_one(self) -> None:
        assert reply(None) == Close(None)

    @pytest.mark.parametrize("code", ILLEGAL)
    def test_an_invalid_close_code_is_a_protocol_error(self, code: int) -> None:
        assert reply(code) == Close(1002, f"relay: invalid close code {code}")

    def test_the_code_1015_is_sent_in_no_frame(self) -> None:
        assert reply(1015) == Close(1002)

    def test_every_received_number_is_answered_by_a_code_that_may_be_sent(self) -> None:
        assert all(may_be_sent(reply(code).code) for code in range(65536))


class TestTheRelaysOwn:
    @pytest.mark.parametrize(
        ("close", "code"),
        [
            (closes.DRAIN, 1012),
            (closes.FAILED, 1011),
            (closes.LOST["upstream"], 1011),
            (closes.LOST["downstream"], 1001),
            (closes.SILENT["upstream"], 1011),
            (closes.SILENT["downstream"], 1001),
            (closes.STUCK["upstream"], 1011),
            (closes.STUCK["downstream"], 1001),
            (fault("upstream", "too large"), 1011),
            (fault("downstream", "too large"), 1011),
            (reply(1004), 1002),
            (crossing("upstream", 1002, ""), 1011),
        ],
    )
    def test_the_relays_own_closes_say_that_they_are_the_relays(
        self, close: Close, code: int
    ) -> None:
        assert close.code == code
        assert close.reason.startswith("relay: ")
        assert len(close.reason.encode()) <= MAX_REASON

    @both_sides
    def test_the_relays_own_closes_name_the_side_to_blame(self, side: Side) -> None:
        assert side in closes.LOST[side].reason
        assert side in closes.SILENT[side].reason
        assert side in closes.STUCK[side].reason
        assert fault(side, "too large").reason == f"relay: {side} fault: too large"


def told(close: Close) -> dict[str, Any]:
    event = closes.last_words(close, "req_1")
    assert event is not None
    error: dict[str, Any] = json.loads(event)["error"]
    return error


class TestLastWords:
    def test_the_event_is_one_error_object_with_the_close_that_follows(self) -> None:
        event = closes.last_words(closes.DRAIN, "req_1")
        assert event is not None
        assert json.loads(event) == {
            "type": "error",
            "event_id": "event_req_1",
            "error": {
                "type": "relay_error",
                "code": "draining",
                "message": "The relay is shutting down; connect again.",
                "param": None,
                "request_id": "req_1",
                "retryable": True,
                "close": {"code": 1012, "reason": "relay: shutting down"},
            },
        }

    @pytest.mark.parametrize(
        "close",
        [
            Close(1000),
            reply(1004),
            crossing("upstream", 1000, "over"),
            *(crossing("downstream", code, "") for code in (1000, 1002, 1011, 4000, None)),
            closes.LOST["downstream"],
            closes.SILENT["downstream"],
            closes.STUCK["downstream"],
            fault("downstream", "x"),
            failing(1011, "x"),
        ],
    )
    def test_a_normal_end_and_one_of_downstreams_own_have_none(self, close: Close) -> None:
        assert closes.last_words(close, "req_1") is None

    @pytest.mark.parametrize("code", [*range(1000, 1016), 3000, 4999, None])
    def test_a_retry_is_advised_where_the_sdks_retry_by_the_close(self, code: int | None) -> None:
        close = crossing("upstream", code, "why")
        if code != 1000:
            assert told(close)["retryable"] is (close.code in (None, 1001, 1011, 1012, 1013))

    def test_what_upstream_said_is_in_the_message_and_cut_as_in_the_close(self) -> None:
        error = told(crossing("upstream", 4000, "{detail} " + "é" * 100))
        assert error["message"].startswith(
            "The upstream closed the session with code 4000, {detail} éé"
        )
        assert error["close"]["reason"] == "{detail} " + "é" * 57

    def test_a_code_of_one_hop_is_told_as_upstream_sent_it(self) -> None:
        error = told(crossing("upstream", 1002, "bad frame"))
        assert error["message"] == "The upstream closed the session with code 1002, bad frame."
        assert error["close"]["code"] == 1011

    @pytest.mark.parametrize("code", get_args(EndingCode))
    def test_every_code_has_a_row_of_one_sentence(self, code: EndingCode) -> None:
        row = closes.ENDINGS[code]
        assert row.message.endswith(".")
        assert row.close_code == "" or may_be_sent(row.close_code)

    @given(st.integers(0, 65535), st.text(st.characters(codec=None), max_size=200))
    def test_any_close_of_upstreams_makes_one_json_text(self, code: int, reason: str) -> None:
        close = crossing("upstream", code, reason)
        event = closes.last_words(close, "req_1")
        assert (event is None) is (code == 1000)
        assert event is None or len(event) < 4096
        assert event is None or json.loads(event)["error"]["close"]["code"] == close.code


class TestPayload:
    def test_a_payload_is_the_code_and_the_reason(self) -> None:
        assert Close(1000, "Grüße").payload() == b"\x03\xe8" + "Grüße".encode()

    def test_no_code_means_no_payload(self) -> None:
        assert Close(None, "unsent").payload() == b""

    @pytest.mark.parametrize("size", [122, 123, 124])
    def test_a_reason_is_cut_at_its_limit(self, size: int) -> None:
        assert Close(1000, "x" * size).payload()[2:] == b"x" * min(size, 123)

    def test_a_reason_is_cut_between_characters(self) -> None:
        assert Close(1000, "x" * 121 + "€").payload()[2:] == b"x" * 121
        assert Close(1000, "x" * 120 + "€").payload()[2:] == b"x" * 120 + "€".encode()

    @given(st.integers(0, 65535), st.text(st.characters(codec=None), max_size=200))
    def test_any_reason_fits_into_a_control_frame(self, code: int, reason: str) -> None:
        payload = Close(code, reason).payload()
        assert len(payload) <= 125
        assert int.from_bytes(payload[:2], "big") == code
        told = payload[2:].decode("utf-8")
        assert reason.encode("utf-8", "replace").decode("utf-8").startswith(told)

    @given(st.sampled_from(SIDES), st.integers(0, 65535), st.text(max_size=200))
    def test_every_answer_to_a_close_fits_into_a_control_frame(
        self, side: Side, code: int, reason: str
    ) -> None:
        for close in (crossing(side, code, reason), reply(code), fault(side, reason)):
            payload = close.payload()
            assert 2 <= len(payload) <= 125
            payload[2:].decode("utf-8")
