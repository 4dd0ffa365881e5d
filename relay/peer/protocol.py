"""
What the relay's two WebSocket protocols have in common: Autobahn, made safe for a relay.

Autobahn parses and writes frames. What it would decide by itself is decided here: how to close,
when to give up, what to log. Its timers ignore the injected reactor, its closes have no deadlines,
and its log repeats credentials.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import urandom

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from relay.peer.closing import ClosingWebSocket
from relay.peer.control import MOST_WAITING, pongs
from relay.peer.delivery import arrived, has_arrived
from relay.peer.interfaces import NOBODY, Inlet, Outlet, PeerListener
from relay.timing.bulkhead import bulkhead
from relay.wire.interfaces import GONE, NO_LINE


class PeerProtocol(ClosingWebSocket):
    """
    One side of a session, to be mixed in before Autobahn's own protocol class.

    Methods that are called from outside have a wall around them (L{relay.timing.bulkhead}). Once
    the connection is gone, all of them are safe and do nothing: that row of the table of its end is
    empty, the line is L{GONE}, the listener is L{NOBODY}, and no deadline runs.

    Its factory must have C{lines} (L{relay.wire.choice.Lines}).

    @ivar quiet_seconds: once the connection is lost, see L{relay.wire.interfaces.Line}.
    @ivar source: the other side of the session. It is not read while this peer does not read.
    """

    speaks = True
    quiet_seconds: float | None = None
    source: PeerProtocol | None = None
    _inlet: Inlet | None = None
    _arrived = 0  # by the last Ping
    _unanswered: Sequence[bytes] = ()  # payloads of Pings

    # -- what the session asks for ---------------------------------------------------------

    def listen(self, listener: PeerListener) -> None:
        """Tell C{listener} from now on, and nothing else. If the peer is gone, tell it at once."""
        if self._phase == "gone":
            listener.lost(self.side, Failure(ConnectionDone()))
        else:
            self.listener = listener

    def watch(self) -> None:
        """The WebSocket is open: ping the peer when it is silent, and give it up if that fails."""
        self.forget_handshake()
        if self._phase != "gone":
            self.keepalive.start(self._ping, self._shows_life, self._silent)

    def splice(self, inlet: Inlet, outlet: Outlet) -> None:
        """
        Take the frames out of Autobahn's hands. From now on what comes goes to C{inlet}, and what
        Autobahn writes goes through C{outlet}. To be called between two frames.
        """
        self.line.received = inlet.received
        self._inlet, self._outlet = inlet, outlet

    def relay(self, payload: bytes, is_binary: bool) -> bool:
        """
        Send a whole message, unless a Close has been sent or received.

        @return: whether it was sent.
        """
        if self.state != self.STATE_OPEN:
            return False
        self.sendMessage(payload, is_binary)
        return True

    def tell(self, payload: bytes) -> bool:
        """
        Send a text of the relay's own, unless the peer does not read, or another message is
        crossing to it.

        @return: whether it was sent.
        """
        is_amid = self._outlet is not None and self._outlet.amid
        if self.state != self.STATE_OPEN or is_amid or not self.keeps_up:
            return False
        self.say(payload)
        return True

    @property
    def keeps_up(self) -> bool:
        """Whether it reads what it is sent."""
        return not self._choked

    @property
    def is_spliced(self) -> bool:
        """Whether the frames bypass Autobahn's parser."""
        return self._outlet is not None

    # -- what Autobahn tells ---------------------------------------------------------------

    def _onOpen(self) -> None:
        self.line = self.factory.lines.line(self.transport, self, self._feed)
        super()._onOpen()

    @bulkhead
    def dataReceived(self, data: bytes) -> None:
        """
        Called by the transport: while there is no line, and where the line reads by the transport.
        """
        received = self._feed if self.line is NO_LINE else self.line.received
        received(data)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Write one of Autobahn's frames, or its handshake, without its debug line for each."""
        if self._outlet is not None:
            self._outlet.write([data])
        elif self.line is not NO_LINE:
            self.line.write(data)
        else:
            self.transport.write(data)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Hand a message on, unless a Close has been sent or received."""
        self._fragments = 0
        if self.state == self.STATE_OPEN:
            self.listener.message(self.side, payload, isBinary)

    def onPing(self, payload: bytes) -> None:
        """Answer a Ping, and count it: a flood of them is read more slowly."""
        self.count_controls(1)
        self.answer_pings([payload])

    def answer_pings(self, payloads: Sequence[bytes]) -> None:
        """
        Send a Pong for each Ping, all in one go, unless a Close has been sent or received.

        Pongs for a peer that does not read wait until it does: the last L{MOST_WAITING} of them,
        else a flood of Pings would fill the buffer.
        """
        if self.state != self.STATE_OPEN:
            return
        if self._choked:
            self._unanswered = [*self._unanswered, *payloads][-MOST_WAITING:]
            return
        frames = pongs(payloads, b"" if self.factory.isServer else urandom(4 * len(payloads)))
        if self._outlet is not None:
            self._outlet.write(frames)
        else:
            self.sendData(b"".join(frames))

    def onPong(self, payload: bytes) -> None:
        """Count it. That the peer lives was noted when the bytes came."""
        self.count_controls(1)

    def end_of_bytes(self, reason: Failure) -> None:
        """All is over: tell Autobahn and the listener."""
        self._happens("lost")
        self._stop_deadlines()
        self._connectionLost(reason)
        self._inlet = self._outlet = None
        listener, self.listener, self.source = self.listener, NOBODY, None
        try:
            listener.lost(self.side, reason)
        except Exception:
            listener.failed(self.side, Failure())

    def failed(self) -> None:
        """The relay itself failed at this peer, with the exception being handled now."""
        self.listener.failed(self.side, Failure())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop all timers. What the peer sent before is still parsed to its end, in turns."""
        # First: the socket is closed, and its number may soon be another connection's.
        line, self.line = self.line, GONE
        self.quiet_seconds = line.quiet_seconds
        line.release()
        self._stop_deadlines()
        self.ended(reason)

    # -- reading and writing ---------------------------------------------------------------

    @bulkhead
    def blocked(self) -> None:
        """The peer does not read: stop reading the source, and start the stall deadline."""
        self._choked = True
        self._patience.wait_for_reader(self.line, self._stalled)
        if self.source is not None:
            self.source.pause_reading()

    @bulkhead
    def drained(self) -> None:
        """All that was sent is written."""
        self._choked = False
        self._patience.caught_up()
        if self.source is not None:
            self.source.resume_reading()
        if self._unanswered:
            unanswered, self._unanswered = self._unanswered, ()
            self.answer_pings(unanswered)
        self._happens("written")

    # -- keepalive -------------------------------------------------------------------------

    @bulkhead
    def _ping(self) -> None:
        """Ping, also while the peer is not read: even a write alone shows a dead connection."""
        self._arrived = arrived(self.line)
        if not self._choked:
            self.sendPing(b"relay")

    @bulkhead
    def _shows_life(self) -> bool | None:
        """
        Whether a peer that was not heard is there all the same; L{None} if that cannot be told.

        If the relay itself was stopped for a while, what the peer sent may lie unread; or it is a
        part of a TLS record that is not whole yet. If the peer is behind, a Ping does not reach it
        yet, but it takes what was sent before. If it has taken all that there is of a frame, only
        the sender of that frame can go on: that tells nothing.
        """
        if self._choked or not self.is_read:
            return None  # the stall deadline watches a side that does not read
        within = self._outlet is not None and self._outlet.within
        owes = self._inlet is not None and self._inlet.unfinished
        takes = self._patience.takes(self.line, within)
        sends = self.keepalive.is_pinged and arrived(self.line) > self._arrived
        if takes or sends or has_arrived(self.line):
            return True
        return None if takes is None and within and not owes else False

    @bulkhead
    def _silent(self) -> None:
        self.listener.silent(self.side)
        self.abort()
