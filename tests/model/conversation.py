"""What far ends do, as hypothesis strings it together."""

from __future__ import annotations

from itertools import product

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from model.ends import ALL, End
from model.world import MESSAGE_BYTES, Pair, Plane, World
from websockets.frames import Opcode

from relay.rules.closes import Side

SESSIONS = 3
"""At once, at most."""

FLOOD = 600
"""Frames; the relay parses fewer of one peer in one turn."""

WAYS = ("reset", "leave", "vanish")

sides: st.SearchStrategy[Side] = st.sampled_from(["downstream", "upstream"])

sizes = st.sampled_from([5, 0, 125, 126, 5000, 33_000, 33_000, 60_000])
"""Bytes of payload; those above 32 KiB cross as they come."""

cuts = st.sampled_from(["all", "all", "half", "half", "all but one", "header", "byte", "none"])
"""How much of what it has said an end lets go."""

codes = st.sampled_from([1000, None, 1001, 1008, 1011, 3000, 4999, 999, 1002, 1005, 1006, 1010])
odd_closes = st.sampled_from([b"\x03", b"\x03\xe8\xff\xfe", b"\x03\xf6", b"\x03\xf7", b"\x13\x88"])

turns = st.sampled_from(["rest", "rest", "rest", "one", "none"])
"""How long the relay has before the next move."""

LETTERS = b"0123456789abcdefghijklmnopqrstuvwxyz"


def opposite(side: Side) -> Side:
    """The other side."""
    return "upstream" if side == "downstream" else "downstream"


def _cut(end: End, cut: str) -> int:
    size = len(end.backlog)
    parts = {"half": size // 2, "all but one": size - 1, "header": 6, "byte": 1, "none": 0}
    return parts.get(cut, ALL)


class Conversation(RuleBasedStateMachine):
    """
    Sessions of one relay, of which all but the first may end in any way.

    Most moves are made in the one that is looked at, for a fault is mostly several moves of both
    ends of one session.
    """

    def __init__(self, plane: Plane, secure: frozenset[Side]) -> None:
        super().__init__()
        self._combination = plane, secure
        self._world: World | None = None
        self._looked_at = 1
        self._count = 0
        self._leaving: tuple[str, ...] = ("reset", "reset")
        self._order: tuple[Side, Side] = ("upstream", "downstream")

    @initialize(
        room=st.sampled_from([65536, 65536, 4096]),
        writes_first=st.booleans(),
        pings_soon=st.booleans(),
        leaving=st.sampled_from([("drain",), *product(WAYS, WAYS)]),
        first=sides,
    )
    def begins(
        self, room: int, writes_first: bool, pings_soon: bool, leaving: tuple[str, ...], first: Side
    ) -> None:
        """
        A relay with two sessions.

        @param leaving: how the two ends of all that are left end; or C{drain}.
        @param first: which of them ends first.
        """
        plane, secure = self._combination
        self._world = World(plane, secure, room, writes_first, pings_soon)
        self._leaving, self._order = leaving, (first, opposite(first))
        for _ in range(2):
            self.world.open()

    @property
    def world(self) -> World:
        assert self._world is not None
        return self._world

    @property
    def pair(self) -> Pair:
        return self.world.pairs[self._looked_at]

    def _end(self, side: Side, is_faulty: bool) -> End:
        self.pair.is_faulty |= is_faulty
        return self.pair.ends[side]

    def _turn(self, turns: str) -> None:
        if turns == "rest":
            self.world.settle()
        elif turns == "one":
            self.world.turn()

    # -- what ends say ---------------------------------------------------------------------

    def _payload(self, size: int) -> bytes:
        """Of so many bytes, and unlike the others."""
        self._count += 1
        text = b"%d " % self._count + LETTERS
        return (text * (size // len(text) + 1))[:size]

    @rule(side=sides, size=sizes, text=st.booleans(), fin=st.booleans(), cut=cuts, turns=turns)
    def says(self, side: Side, size: int, text: bool, fin: bool, cut: str, turns: str) -> None:
        """A message, or a fragment of one."""
        end = self._end(side, False)
        end.say(text, self._payload(size), fin or size > 5000, MESSAGE_BYTES)
        self.pair.is_faulty |= end.says_no_more
        end.let_go(_cut(end, cut))
        self._turn(turns)

    @rule(side=sides, cut=st.sampled_from(["half", "all but one"]), turns=turns)
    def begins_a_large_frame(self, side: Side, cut: str, turns: str) -> None:
        """One that crosses as it comes."""
        end = self._end(side, False)
        if not end.backlog:
            end.say(False, self._payload(40_000), True, MESSAGE_BYTES)
            end.let_go(_cut(end, cut))
            self._turn(turns)

    @rule(side=sides, by=st.sampled_from(["ping", "close", "fault"]), turns=turns)
    def interrupts_a_large_frame(self, side: Side, by: str, turns: str) -> None:
        """This side is within one, and the other wants an answer that has to wait for its end."""
        self.begins_a_large_frame(side=side, cut="half", turns="rest")
        other = opposite(side)
        if by == "ping":
            self.pings(side=other, size=5, turns=turns)
        elif by == "close":
            self.closes(side=other, code=1000, reason=b"", turns=turns)
        else:
            self.breaks_a_rule(side=other, fault="reserved bits", turns=turns)

    @precondition(lambda self: any(end.backlog for end in self.pair.ends.values()))
    @rule(side=sides, cut=cuts, turns=turns)
    def goes_on(self, side: Side, cut: str, turns: str) -> None:
        """Let go more of what it has said."""
        end = self._end(side, False)
        end.let_go(_cut(end, cut))
        self._turn(turns)

    @rule(side=sides, count=st.integers(1, 40))
    def trickles(self, side: Side, count: int) -> None:
        """Byte by byte."""
        end = self._end(side, False)
        for _ in range(count):
            end.let_go(1)
            self.world.turn()

    @rule(side=sides, pings=st.booleans(), turns=turns)
    def floods(self, side: Side, pings: bool, turns: str) -> None:
        """In one go."""
        end = self._end(side, False)
        for _ in range(FLOOD):
            if pings:
                end.put(end.frame(Opcode.PING, b"flood"))
                self.world.pings += 1
            else:
                end.say(True, b"", True, MESSAGE_BYTES)
        self.pair.is_faulty |= end.says_no_more
        end.let_go()
        self._turn(turns)

    @rule(side=sides, size=st.sampled_from([0, 5, 125]), turns=turns)
    def pings(self, side: Side, size: int, turns: str) -> None:
        """Want a Pong."""
        self._says_frame(side, Opcode.PING, b"p" * size, turns)

    @rule(side=sides, turns=turns)
    def pongs(self, side: Side, turns: str) -> None:
        """Unasked."""
        self._says_frame(side, Opcode.PONG, b"unasked", turns)

    def _says_frame(self, side: Side, opcode: Opcode, payload: bytes, turns: str) -> None:
        end = self._end(side, False)
        end.put(end.frame(opcode, payload))
        end.let_go()
        self._turn(turns)

    @rule(side=sides, code=codes, reason=st.sampled_from([b"", b"bye", b"r" * 123]), turns=turns)
    def closes(self, side: Side, code: int | None, reason: bytes, turns: str) -> None:
        """By a code that may be none."""
        payload = b"" if code is None else code.to_bytes(2, "big") + reason
        self._closes(side, payload, turns)

    @rule(side=sides, payload=odd_closes, turns=turns)
    def closes_oddly(self, side: Side, payload: bytes, turns: str) -> None:
        """By what is no Close."""
        self._closes(side, payload, turns)

    def _closes(self, side: Side, payload: bytes, turns: str) -> None:
        end = self._end(side, True)
        end.close(payload)
        end.let_go()
        self._turn(turns)

    @rule(
        side=sides,
        fault=st.sampled_from(
            ["reserved bits", "mask", "opcode", "long ping", "endless", "UTF-8", "continuation"]
        ),
        turns=turns,
    )
    def breaks_a_rule(self, side: Side, fault: str, turns: str) -> None:
        """Of RFC 6455, or of the relay's limits."""
        end = self._end(side, True)
        if fault == "UTF-8":
            end.say(True, b"\xff\xfe", True, MESSAGE_BYTES)
        else:
            end.says_no_more = True
            end.put(self._fault(end, fault))
        end.let_go()
        self._turn(turns)

    @staticmethod
    def _fault(end: End, fault: str) -> bytes:
        if fault == "mask":
            whole = end.frame(Opcode.TEXT, b"four")
            return bytes([whole[0], whole[1] ^ 0x80]) + whole[2:]
        if fault == "opcode":
            return end.frame(3, b"four")
        if fault == "reserved bits":
            return end.frame(Opcode.BINARY, b"four", bits=0x40)
        if fault == "long ping":
            return end.frame(Opcode.PING, b"p" * 126)
        if fault == "continuation":
            opcode = Opcode.TEXT if end.is_within_message() else Opcode.CONT
            return end.frame(opcode, b"out of order")
        mask = 0x80 if end.is_client else 0
        return bytes([0x82, 127 | mask]) + (1 << 40).to_bytes(8, "big") + b"mask and more"

    # -- what they do besides --------------------------------------------------------------

    @rule(side=sides)
    def stops_reading(self, side: Side) -> None:
        """For now."""
        self._end(side, True).reads = False

    @rule(side=sides, size=st.sampled_from([1, 100, 5000, ALL]), turns=turns)
    def reads(self, side: Side, size: int, turns: str) -> None:
        """Some; all from now on if it is all."""
        end = self._end(side, False)
        end.reads = end.reads or size == ALL
        end.read(size)
        self._turn(turns)

    @rule(side=sides, mute=st.booleans())
    def falls_silent(self, side: Side, mute: bool) -> None:
        """It answers no more, or again."""
        self._end(side, True).mute = mute

    @rule(
        side=sides,
        way=st.sampled_from(["reset", "reset", "leave", "fin", "vanish", "close_notify"]),
        turns=turns,
    )
    def ends(self, side: Side, way: str, turns: str) -> None:
        """Its connection, or its half of it."""
        end = self._end(side, True)
        if way == "close_notify":
            end.end_tls()
        else:
            getattr(end.socket, way)()
        self._turn(turns)

    # -- and the rest ----------------------------------------------------------------------

    @rule(size=sizes)
    def a_bystander_talks(self, size: int) -> None:
        """Both ways."""
        for end in self.world.pairs[0].ends.values():
            end.say(size % 2 == 0, self._payload(size), True, MESSAGE_BYTES)
            end.let_go()
        self.world.settle()

    @precondition(lambda self: len(self.world.pairs) > 2)
    @rule(place=st.integers(1, SESSIONS))
    def looks_at(self, place: int) -> None:
        """Another session."""
        self._looked_at = min(place, len(self.world.pairs) - 1)

    @precondition(lambda self: sum(not pair.is_over for pair in self.world.pairs) < SESSIONS)
    @rule()
    def opens(self) -> None:
        """A session more."""
        self.world.open()
        self._looked_at = len(self.world.pairs) - 1

    @rule()
    def one_watches_or_looks_away(self) -> None:
        """On the dashboard, which no end notices."""
        self.world.watch()

    @rule(seconds=st.sampled_from([0.25, 1.0, 2.0, 4.0, 8.0]))
    def time_passes(self, seconds: float) -> None:
        """Who holds something back may be taken for gone by then."""
        for pair in self.world.pairs:
            pair.is_faulty |= any(end.backlog for end in pair.ends.values())
        self.world.later(seconds)

    # -- what must hold --------------------------------------------------------------------

    @invariant()
    def nothing_is_raised(self) -> None:
        """Nowhere."""
        if self._world is not None:
            self.world.check_errors()

    def teardown(self) -> None:
        """Everything ends, and nothing is left."""
        if self._world is None:
            return
        try:
            self._finish()
        finally:
            self.world.forget()

    def _finish(self) -> None:
        world = self.world
        world.settle()
        world.check_errors()
        world.check_messages()
        world.check_bystanders()
        drained = world.factory.drain() if self._leaving == ("drain",) else None
        for pair in world.pairs if drained is None else ():
            for side, way in zip(self._order, self._leaving, strict=True):
                getattr(pair.ends[side].socket, way)()
                world.settle()
        world.end()
        world.check_messages()
        world.check_watched()
        world.check_nothing_left()
        drained = drained or world.factory.drain()
        world.later(1.0)
        assert drained.called, "the drain does not end"
        world.check_nothing_left()
