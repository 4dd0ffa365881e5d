"""The subcommands that are an upstream: C{realtime-relay simulate} and C{realtime-relay replay}."""

from __future__ import annotations

from collections.abc import Sequence
from getopt import GetoptError, gnu_getopt
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import react
from twisted.python import usage

from relay.daemon import tap
from relay.recording.reading import Recording, RecordingFault, recording_at
from relay.recording.upstream import ReplayFactory
from relay.simulator import SimulatorFactory
from relay.timing.clock import use_monotonic_clock

LISTEN = ["listen", None, "tcp:8081:interface=127.0.0.1", "Twisted endpoint to listen on."]


def give_up(line: str) -> NoReturn:
    """@raise SystemExit: with this line."""
    raise SystemExit(f"realtime-relay: {line}")


class SimulateOptions(usage.Options):
    """The command line of C{realtime-relay simulate}."""

    synopsis = "Usage: realtime-relay simulate [options]"
    longdesc = "Runs the built-in upstream: a parrot that fails on request."
    optParameters: ClassVar = [
        LISTEN,
        ["replay", None, None, "Serve the recording in this file, and not the parrot."],
    ]
    opt_version = tap.Options.opt_version


class ReplayOptions(usage.Options):
    """The command line of C{realtime-relay replay}."""

    synopsis = "Usage: realtime-relay replay [options] FILE"
    longdesc = "Serves a recorded session again, as an upstream, to each client that connects."
    optParameters: ClassVar = [LISTEN]
    opt_version = tap.Options.opt_version

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Take options behind the file, too."""
        try:
            flags, files = gnu_getopt([*(options or ())], self.shortOpt, self.longOpt)
        except GetoptError as error:
            raise usage.UsageError(str(error)) from None
        words = [word for flag, value in flags for word in (flag, value) if word]
        super().parseOptions([*words, "--", *files])

    def parseArgs(self, *files: str) -> None:
        """Take one file."""
        if len(files) != 1:
            raise usage.UsageError("name one FILE to replay")
        self["replay"] = files[0]


def simulate(arguments: Sequence[str]) -> None:
    """Run the simulator until it is told to stop."""
    _run(SimulateOptions(), arguments)


def replay(arguments: Sequence[str]) -> None:
    """Serve a recording until told to stop."""
    _run(ReplayOptions(), arguments)


def _run(options: usage.Options, arguments: Sequence[str]) -> None:
    try:
        options.parseOptions(arguments)
        file = options["replay"]
        recording = None if file is None else recording_at(Path(file))
    except (usage.UsageError, RecordingFault) as error:
        give_up(str(error))
    react(_serve, (options["listen"], recording))


async def _serve(reactor: Any, endpoint: str, recording: Recording | None) -> None:
    use_monotonic_clock(reactor)
    if recording is None:
        where = await _listen(reactor, endpoint, SimulatorFactory(reactor))
        _say(f"simulating an upstream at {where}/v1/realtime")
    else:
        where = await _listen(reactor, endpoint, ReplayFactory(recording, _say, reactor))
        for line in _about(recording):
            _say(line)
        _say(f"replaying at {where}{recording.header.path or '/v1/realtime'}")
    await Deferred()


def _about(recording: Recording) -> list[str]:
    header = recording.header
    lines = [f"a session with {header.model or 'no model'} of {header.began}"]
    if not header.payloads:
        lines.append("without payloads: each message has its type and size, and nothing else")
    return lines


def _say(line: str) -> None:
    print("".join(c if c.isprintable() else "?" for c in line), flush=True)


async def _listen(reactor: Any, endpoint: str, factory: IProtocolFactory) -> str:
    """Listen; return where, as a URL without a path."""
    try:
        listening = await serverFromString(reactor, endpoint).listen(factory)
    except CannotListenError as error:
        give_up(f"cannot listen on {endpoint}: {error.socketError.strerror}")
    except Exception:
        # Endpoint parsers are plug-ins, and may raise any exception.
        give_up(f"{endpoint} is no endpoint that can be used here")
    address = listening.getHost()
    return f"ws://{address.host}:{address.port}" if hasattr(address, "port") else endpoint
