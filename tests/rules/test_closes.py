"""The close table, in both directions and for every number."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rules import closes
from relay.rules.closes import MAX_REASON, Close, Side, crossing, fault, reply

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
