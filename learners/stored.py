"""What a checkpoint holds of a part that learns: all but its memory."""

from typing import Any

import torch

from learners.flops import Flops

# Of a part that takes gradient steps at a pace of its own, beside its networks and optimisers.
STEPS = ("generator", "updates", "pace", "counter")


class Stored:
    """Goes into a checkpoint by the names of its attributes.

    Attributes:
      STORED: These names: of networks, optimisers, random streams, counters, numbers and arrays.
      counter: Of what its networks compute.
    """

    STORED: tuple[str, ...]
    counter: Flops

    @property
    def flops(self) -> int:
        """Floating-point operations of the networks so far."""
        return self.counter.total

    def state(self) -> dict[str, Any]:
        """What is stored."""
        return {name: _state(getattr(self, name)) for name in self.STORED}

    def load(self, state: dict[str, Any]) -> None:
        """Become what `state` said."""
        for name in self.STORED:
            part = getattr(self, name)
            if isinstance(part, torch.Generator):
                part.set_state(state[name])
            elif hasattr(part, "load_state_dict"):
                part.load_state_dict(state[name])
            elif hasattr(part, "load"):
                part.load(state[name])
            else:
                setattr(self, name, state[name])


def _state(part: Any) -> Any:
    if isinstance(part, torch.Generator):
        return part.get_state()
    if hasattr(part, "state_dict"):
        return part.state_dict()
    return part.state() if hasattr(part, "state") else part
