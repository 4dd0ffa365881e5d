"""Whether what a relay sends is made of frames."""

from __future__ import annotations

CONTROL = (8, 9, 10)
DATA = (0, 1, 2)

CLOSE = 8


class Walk:
    """
    Follows the frames that come on one connection, by their headers alone.

    @ivar faults: what no peer may send, whatever was sent to it.
    @param masked: whether they must be masked.
    """

    def __init__(self, masked: bool) -> None:
        self.faults: list[str] = []
        self._masked = masked
        self._rest = bytearray()
        self._skip = 0
        self._closed = False

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        rest = self._rest
        rest += data
        while not self.faults:
            skipped = min(self._skip, len(rest))
            del rest[:skipped]
            self._skip -= skipped
            if self._skip or not self._header():
                return

    def _header(self) -> bool:
        """Judge a header, if it is whole."""
        rest = self._rest
        if len(rest) < 2:
            return False
        more = {126: 2, 127: 8}.get(rest[1] & 0x7F, 0)
        size = 2 + more + (4 if rest[1] & 0x80 else 0)
        if len(rest) < size:
            return False
        length = int.from_bytes(rest[2 : 2 + more], "big") if more else rest[1] & 0x7F
        self._judge(rest[0], bool(rest[1] & 0x80), length)
        self._skip = size + length
        return True

    def _judge(self, first: int, masked: bool, length: int) -> None:
        opcode, whole = first & 0x0F, first >= 0x80
        allowed = opcode in DATA or (opcode in CONTROL and whole and length <= 125)
        if self._closed:
            self.faults.append("something behind the Close")
        elif not allowed or first & 0x70 or masked != self._masked:
            self.faults.append(f"no frame: {bytes(self._rest[:40])!r}")
        self._closed = opcode == CLOSE
