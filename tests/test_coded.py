"""Sampled MuZero: codes of actions, what is drawn, what a search makes of it, what is learned."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from learners.coded import ActionCode, Searched
from learners.interface import Transitions
from learners.two_hot import divergence
from planners.leaves import count_together
from planners.noise import Noise
from planners.searches import make_planner

SPACE = Box(np.array([-2.0, 0.0]), np.array([2.0, 1.0]), dtype=np.float64)


def softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def test_codes_of_actions():
    code = ActionCode(SPACE, 5)
    assert (code.groups, code.points, code.size) == (2, 5, 10)
    found = code(torch.tensor([[-2.0, 1.0], [-0.75, 0.5], [9.0, -1.0]], dtype=torch.float64))
    expected = [
        [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1]],
        [[0, 0.75, 0.25, 0, 0], [0, 0, 1, 0, 0]],
        [[0, 0, 0, 0, 1], [1, 0, 0, 0, 0]],  # beyond the box
    ]
    np.testing.assert_allclose(code.grouped(found), expected, atol=1e-12)
    chosen = np.random.default_rng(0).integers(5, size=(30, 2))
    again = code.grouped(code(torch.from_numpy(code.decode(chosen))))
    np.testing.assert_allclose(again, np.eye(5)[chosen], atol=1e-12)
    three = ActionCode(Discrete(3, start=2), 5)
    assert (three.groups, three.points, three.start) == (1, 3, 2)
    assert three(torch.tensor([2, 0])).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert three.decode(np.array([[2], [0]])).tolist() == [4, 2]


def test_the_loss_over_sampled_actions_by_brute_force():
    """Its gradient is that of the cross-entropy of the sampled actions, joint probabilities."""
    code, random = ActionCode(SPACE, 4), np.random.default_rng(1)
    chosen = random.integers(4, size=(6, 9, 2))
    policy = random.dirichlet(np.ones(9), size=6)
    aim = torch.from_numpy(code.mean(policy, code.decode(chosen)))
    logits = torch.from_numpy(random.normal(size=(6, 8))).requires_grad_()
    loss = divergence(code.grouped(logits), code.grouped(aim)).sum(dim=-1)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    brute = torch.zeros(6, dtype=torch.float64)
    for m in range(6):
        for p, points in zip(policy[m], chosen[m], strict=True):
            for d, point in enumerate(points):
                brute[m] -= p * logits[m, 4 * d : 4 * d + 4].log_softmax(dim=0)[point]
    (expected,) = torch.autograd.grad(brute.sum(), logits)
    np.testing.assert_allclose(gradient, expected, atol=1e-12)
    entropy = torch.special.entr(aim).sum(dim=1)
    np.testing.assert_allclose((loss + entropy).detach(), brute.detach(), atol=1e-12)


def test_what_is_drawn_and_its_weight():
    code, random = ActionCode(SPACE, 3), np.random.default_rng(2)
    logits = np.repeat(2 * random.normal(size=(1, 6)), 4, axis=0)
    actions, weights = code.propose(logits, 0.4, random.random((4, 20_000, 2)))
    assert actions.shape == (4, 20_000, 2)
    policy = softmax(logits[0].reshape(2, 3))
    drawing = 0.6 * policy + 0.4 / 3
    for i in range(3):
        for j in range(3):
            equal = (actions == code.decode(np.array([i, j]))).all(axis=2)
            assert equal.mean() == pytest.approx(drawing[0, i] * drawing[1, j], abs=0.006)
            pi, beta = policy[0, i] * policy[1, j], drawing[0, i] * drawing[1, j]
            np.testing.assert_allclose(weights[equal], np.log(pi / beta), atol=1e-9)
    assert not code.propose(logits, 0.0, random.random((4, 5, 2)))[1].any()
    sure = np.array([[0.0, 0, 2000, 0, 0, 0]])
    assert np.isfinite(code.propose(sure, 0.9, random.random((1, 99, 2)))[1]).all()
    assert not code.propose(sure, 0.0, random.random((1, 99, 2)))[1].any()


def test_equal_actions_count_together():
    actions = np.array([[[1.0], [2.0], [1.0], [2.0], [2.0], [0.0]]])
    logits = np.log([[0.5, 0.2, 0.5, 0.2, 0.2, 3.0]])
    count_together(actions, logits)
    np.testing.assert_allclose(np.exp(logits), [[1.0, 0.6, 0, 0, 0, 3.0]])


class Bandit:
    """Of continuous actions: an episode is one decision. As its own prior, of which it knows pi."""

    has_value, discount = True, 1.0

    def __init__(self, code: ActionCode, exploration: float = 0.5, seed: int = 3):
        self.code, self.exploration = code, exploration
        random = np.random.default_rng(seed)
        self.logits = random.normal(size=(1, code.size))
        self.worth = random.normal(size=code.size)
        self.drawn: list[np.ndarray] = []

    def step(self, state, action):
        codes = self.code(torch.from_numpy(action)).numpy()
        return state, (codes @ self.worth) ** 2, np.zeros(len(state))

    def features(self, state):
        return state

    def value(self, features):
        return np.zeros(len(features))

    def propose(self, features, number, noise):
        drawn = noise.uniform(number, self.code.groups)
        logits = np.repeat(self.logits, len(features), axis=0)
        actions, weights = self.code.propose(logits, self.exploration, drawn)
        self.drawn.append(actions)
        return actions, weights

    def exact(self, most: int, scale: float) -> np.ndarray:
        """The mean code of the improved policy over all actions, from equation 8 of Gumbel."""
        points = self.code.points
        every = np.indices((points,) * self.code.groups).reshape(self.code.groups, -1).T
        _, q, _ = self.step(every[:, :1], self.code.decode(every))
        pi = softmax(self.logits.reshape(-1, points))
        prior = np.prod([pi[d, every[:, d]] for d in range(self.code.groups)], axis=0)
        sigma = (50 + most) * scale * (q - q.min()) / (q.max() - q.min())
        improved = softmax(np.log(prior) + sigma)
        return improved @ np.eye(points)[every].reshape(len(every), -1)


def search(bandit: Any, space: Box, samples: int, budget: int, scale: float, key: int = 0):
    """Policy [n] and candidates [n, A] of a search, and the root's edges."""
    spec = SimpleNamespace(name="bandit", action_space=space, control_dt=1.0, budget_per_step=1)
    planner = make_planner(
        *(spec, "gumbel", budget),
        samples=samples,
        depth=0,
        reuse=False,
        value_scale=scale,
    )
    noise = Noise(key, [0], 0)
    plan, carry = planner.plan(bandit, bandit, np.zeros((1, 1)), planner.init(1), noise)
    assert plan.policy is not None and plan.candidates is not None  # noqa: PT018
    assert plan.action[0] in plan.candidates[0]
    return plan.policy[0], plan.candidates[0], carry.tree.edges[0, 0]


def test_weights_of_a_search_on_a_tiny_case():
    """Prior (beta^ / beta) pi of the sampled actions, then sigma(q): by hand."""
    space = Box(-1.0, 1.0, (1,), np.float64)
    bandit = Bandit(ActionCode(space, 3))
    policy, actions, edges = search(bandit, space, samples=16, budget=60, scale=0.02, key=4)
    drawn = bandit.drawn[0][0, :, 0]
    codes = bandit.code(torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64)).numpy()
    pi, q = softmax(bandit.logits[0]), (codes @ bandit.worth) ** 2
    counts = np.array([(drawn == action).sum() for action in (-1, 0, 1)])
    prior = counts / 16 / (pi / 2 + 1 / 6) * pi
    assert (counts > 0).all()
    most = edges["visits"].max()
    improved = softmax(np.log(prior) + (50 + most) * 0.02 * (q - q.min()) / np.ptp(q))
    found = [policy[actions[:, 0] == action].sum() for action in (-1, 0, 1)]
    np.testing.assert_allclose(found, improved, rtol=1e-6)
    assert (policy > 0).sum() == 3  # equal actions are one
    assert edges["visits"].sum() == 60
    assert edges["visits"][policy == 0].sum() == 0


@pytest.mark.parametrize("size", [1, 2])
def test_many_samples_find_the_exact_improved_policy(size):
    space = Box(-1.0, 1.0, (size,), np.float64)
    bandit, errors = Bandit(ActionCode(space, 4)), {}
    for samples in (16, 256, 2048):
        far = []
        for key in range(6):
            policy, actions, edges = search(bandit, space, samples, 64, scale=0.01, key=key)
            found = bandit.code.mean(policy[None], actions[None])[0]
            far.append(np.abs(found - bandit.exact(edges["visits"].max(), 0.01)).max())
        errors[samples] = np.mean(far)
    assert errors[2048] < errors[256] < errors[16]
    assert errors[2048] < 0.02 < 0.05 < errors[16]


@pytest.mark.parametrize("proposal", [None, "prior", "levels"])
def test_who_proposes(proposal):
    space = Box(-1.0, 1.0, (1,), np.float64)
    spec = SimpleNamespace(name="bandit", action_space=space, control_dt=1.0, budget_per_step=1)
    bandit: Any = Bandit(ActionCode(space, 4))
    planner = make_planner(spec, "puct", 20, depth=0, proposal=proposal)
    noise = Noise(0, range(2), 0)
    plan, _ = planner.plan(bandit, bandit, np.zeros((2, 1)), planner.init(2), noise)
    assert plan.candidates is not None
    thirds = np.round(3 * plan.candidates[..., 0]).astype(int)
    found = {frozenset(actions.tolist()) for actions in thirds}
    if proposal == "levels":
        assert found == {frozenset((-3, 0, 3))}
    else:
        assert all(actions <= {-3, -1, 1, 3} for actions in found)
        assert plan.candidates.shape == (2, 16, 1)


def test_memory_keeps_mean_codes():
    code, random = ActionCode(SPACE, 4), np.random.default_rng(5)
    spec = SimpleNamespace(observation_space=Box(0, 1, (1,)), action_space=SPACE)
    memory = Searched(40, spec, 2, Path(), code)
    false, zeros = np.zeros(2, bool), np.zeros(2)
    chosen, policy = random.integers(4, size=(7, 2, 3, 2)), random.dirichlet(np.ones(3), (7, 2))
    expected = np.einsum("tmn,tmndp->tmdp", policy, np.eye(4)[chosen]).reshape(7, 2, 8)
    for t in range(6):
        found = (policy[t], None, code.decode(chosen[t])) if t else ()  # first at random
        seen = np.full((2, 1), t), code.decode(chosen[t, :, 0]), zeros, false, false
        memory.add(Transitions(*seen, np.full((2, 1), t + 1), false, 1, *found))
    kept = memory._arrays["policy"]
    np.testing.assert_allclose(kept[2:12], expected[1:6].reshape(10, 8), atol=1e-6)
    assert not kept[:2].any()
    memory.overwrite(np.array([3, 8]), policy[6], code.decode(chosen[6]))
    np.testing.assert_allclose(kept[[3, 8]], expected[6], atol=1e-6)
