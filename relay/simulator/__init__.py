"""
The built-in upstream: a parrot that speaks the Realtime events, and fails on request.
"""

from relay.simulator.server import SimulatorFactory

__all__ = ["SimulatorFactory"]
