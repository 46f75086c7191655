"""The truth as a world model: plans are scored on the task's own physics."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from suites.errors import UserError
from suites.tasks.control import derivatives
from suites.tasks.control.simulation import Simulation
from suites.tasks.other_physics import OtherPhysics
from world_models import rollouts

_SALT = 1  # tells the dice of planning from the true ones


class Simulator:
    """The task's simulator behind the face of a world model.

    Arguments:
      task: What is planned for; the simulator gets physics of its own from it.
      threads: Workers that roll plans out.
      physics: Other physics to plan with (see `OtherPhysics`); the task keeps the true one.
      clairvoyant: Whether a plan knows the dice that the task is going to throw. Otherwise it is
        made with dice of its own, always the same ones in the same state.

    Attributes:
      sim_steps: Control steps simulated so far.
      model_steps: Transitions of a learned model: none.
      stride: Control steps of a step of a plan.
    """

    trains, stride = False, 1

    def __init__(
        self,
        task: Any,
        threads: int = 1,
        physics: dict[str, Any] | None = None,
        clairvoyant: bool = False,
    ):
        if not isinstance(physics, Mapping | None):
            raise UserError(f"world_model.physics is {physics!r}: give world_model.physics.<key>")
        self.simulation = task.planning_simulation(threads, OtherPhysics(**(physics or {})))
        dice = getattr(self.simulation, "has_dice", False)
        if not isinstance(clairvoyant, bool):
            raise UserError(f"world_model.clairvoyant is {clairvoyant!r}: give true or false")
        if clairvoyant and not dice:
            raise UserError(
                f"world_model.clairvoyant: {task.facts.name} as it is set up throws no dice that a"
                " plan could know; leave it out"
            )
        self.hides_dice = dice and not clairvoyant
        self.sim_steps = self.model_steps = 0

    @property
    def sim_frames(self) -> int:
        """Physics steps simulated so far, with those done again to get to states (Atari's)."""
        replayed = getattr(self.simulation, "replayed", 0)
        return self.sim_steps * self.simulation.substeps + replayed

    def begin(self, observations: np.ndarray, task: Any) -> np.ndarray:
        """The true states [B, S] of the task's environments."""
        rows = task.simulation.read()
        return self.simulation.redraw(rows, _SALT) if self.hides_dice else rows

    def rollout(
        self, state: np.ndarray, plans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards [B, K, H], continuation [B, K, H] and last states [B, K, S].

        Of plans [B, K, H, A], or [B, K, H] where actions are discrete.
        """
        shape = batch, candidates, horizon = plans.shape[:3]
        root_of = np.repeat(np.arange(batch), candidates)
        flat = np.ascontiguousarray(plans).reshape(batch * candidates, *plans.shape[2:])
        rewards, continuation, last = self.simulation.rollout(state, root_of, flat)
        self.sim_steps += batch * candidates * horizon
        return rewards.reshape(shape), continuation.reshape(shape), last.reshape(*shape[:2], -1)

    def trace(
        self, state: np.ndarray, plans: np.ndarray, every: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As `rollout`, and the features on the way: see `world_models.rollouts`."""
        return rollouts.trace(self, state, plans, every)

    def step(
        self, state: np.ndarray, action: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Next states [B, S], rewards [B] and continuation [B] after actions [B, A] or [B]."""
        return rollouts.step(self, state, action)

    def select(self, state: np.ndarray, which: np.ndarray) -> np.ndarray:
        """States [M, S] of some of the environments."""
        return state[which]

    def features(self, state: np.ndarray, kind: str | None = None) -> np.ndarray:
        """Observations [..., O] in states [..., S]; of a `kind`, where a task has several.

        Raises:
          UserError: for a task that does not have this kind.
        """
        rows = np.ascontiguousarray(state.reshape(-1, state.shape[-1]))
        if kind is None:
            seen = self.simulation.observe(rows)
            return seen.reshape(*state.shape[:-1], *seen.shape[1:])
        if kind not in getattr(self.simulation, "kinds", ()):
            raise UserError(
                f"features of the kind '{kind}' are those of Atari games, and this task is none:"
                " choose planner.features=ram"
            )
        return self.simulation.observe(rows, kind).reshape(*state.shape[:-1], -1)

    def feedback_rollout(
        self,
        state: np.ndarray,
        plans: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        gains: np.ndarray | None = None,
        reference: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Roll out clip(plans[b, k, h] + gains[b, h] (x - reference[b, h]), low, high).

        Arguments:
          state: [B, S]. plans: [B, K, H, A]. gains: [B, H, A, n], None for 0.
          reference: States [B, H + 1, S].

        Returns:
          Rewards [B, K, H], continuation [B, K, H], actions [B, K, H, A], states [B, K, H + 1, S].
        """
        batch, candidates, horizon, size = plans.shape
        if gains is None or reference is None:
            gains = np.empty((batch, 0, size, self.tangent_size))
            reference = np.empty((batch, 0, state.shape[-1]))
        self.sim_steps += batch * candidates * horizon
        return derivatives.feedback_rollout(
            self.compiled, state, plans, low, high, gains, reference
        )

    def derivatives(
        self, states: np.ndarray, actions: np.ndarray, lengths: np.ndarray, full: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        """Derivatives along trajectories: states [B, H + 1, S], actions [B, H, A].

        By finite differences, all counted as simulated steps. With z = (x_h, u_h), d = n + A, and
        all 0 after lengths[b] control steps:

        Returns:
          Of the next state: fx [B, H, n, n] and fu [B, H, n, A]. Of the step's reward as a function
          of z: gradient [B, H, d], and if `full` the Hessian [B, H, d, d] for linear dynamics.
        """
        batch, horizon, size = actions.shape
        n, d = self.tangent_size, self.tangent_size + size
        used = np.arange(horizon) < lengths[:, None]
        self.sim_steps += int(used.sum()) * self.derivative_steps(full)
        controls = np.ascontiguousarray(actions[used])
        jacobian, gradient = np.zeros((batch, horizon, n, d)), np.zeros((batch, horizon, d))
        jacobian[used], gradient[used] = derivatives.step_derivatives(
            self.compiled, np.ascontiguousarray(states[:, :-1][used]), controls
        )
        hessian = None
        if full:
            reached = np.ascontiguousarray(states[:, 1:][used])
            inner = derivatives.reward_hessians(self.compiled, reached, controls)
            chain = np.zeros((len(inner), d, d))
            chain[:, :n], chain[:, n:, n:] = jacobian[used], np.eye(size)
            hessian = np.zeros((batch, horizon, d, d))
            hessian[used] = chain.swapaxes(1, 2) @ inner @ chain
        return jacobian[..., :n], jacobian[..., n:], gradient, hessian

    def derivative_steps(self, full: bool) -> int:
        """Simulated steps that `derivatives` takes per control step.

        A reward in a displaced state costs less than a step, but counts as one.
        """
        d = self.tangent_size + self.compiled.action_size
        return 2 * d + (d * (d + 1) + 1 if full else 0)

    def displace(self, state: np.ndarray, tangents: np.ndarray) -> np.ndarray:
        """States [B, M, S] beside states [B, S] by tangents [M, n]; each counts as one step."""
        self.sim_steps += len(state) * len(tangents)
        return derivatives.displace(self.compiled, state, tangents)

    @property
    def tangent_size(self) -> int:
        """Size of the differences of two states: n."""
        return derivatives.tangent_size(self.compiled)

    @property
    def compiled(self) -> Simulation:
        """The simulation, where it is compiled.

        Raises:
          UserError: for a task without a compiled twin.
        """
        if not isinstance(self.simulation, Simulation):
            raise UserError(
                "planner.optimizer=ilqg needs derivatives, which only tasks of MuJoCo whose reward"
                " is compiled have: choose another planner.optimizer"
            )
        return self.simulation
