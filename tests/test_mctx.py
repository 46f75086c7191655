"""The searches against DeepMind's `mctx`: the same visits and policies (extra `mctx`)."""

from typing import Any

import numpy as np
import pytest
from finite import decide, layered, make, random_oracle

mctx: Any = pytest.importorskip("mctx", reason="needs pip install '.[mctx]'")
jax: Any = pytest.importorskip("jax")

jax.config.update("jax_enable_x64", True)
jnp = jax.numpy

DISCOUNT = 0.95
STATES = (0, 1, 2, 3, 4, 5)
CASES = [(0, 2, 30, 16), (1, 4, 50, 3), (2, 7, 80, 16)]


def ask(policy, model, prior, simulations, seed, **options):
    """The output of a policy of mctx on a table."""
    successors, rewards = jnp.array(model.successors[..., 0]), jnp.array(model.rewards[..., 0])
    going, values = jnp.array(model.continuation[..., 0]), jnp.array(prior.values)
    logits = jnp.array(prior.of_logits)

    def step(params, key, action, state):
        following = successors[state, action]
        output = mctx.RecurrentFnOutput(
            reward=rewards[state, action],
            discount=DISCOUNT * going[state, action],
            prior_logits=logits[following],
            value=values[following],
        )
        return output, following

    states = jnp.array(STATES)
    root = mctx.RootFnOutput(prior_logits=logits[states], value=values[states], embedding=states)
    key = jax.random.PRNGKey(seed)
    return policy((), key, root, step, simulations, **options)


def ours(search, model, prior, simulations, **options):
    planner = make(
        *(search, simulations, model.rewards.shape[1]),
        **{"depth": 0, "leaves": 1, "discount": DISCOUNT, "normalise": "node", **options},
    )
    plan, carry = decide(planner, model, STATES, prior)
    return plan, carry.tree


def agree(plan, tree, output):
    theirs = output.search_tree
    assert np.array_equal(tree.edges["visits"][:, 0], theirs.children_visits[:, 0])
    assert np.allclose(tree.nodes["value"][:, 0], theirs.node_values[:, 0], atol=1e-4)
    visited = tree.edges["visits"][:, 0] > 0
    values = theirs.qvalues(jnp.zeros(len(STATES), int))
    assert np.allclose(tree.edges["value"][:, 0][visited], values[visited], atol=1e-4)
    assert np.allclose(plan.policy, output.action_weights, atol=1e-4)


@pytest.mark.parametrize(("seed", "actions", "simulations", "_"), CASES)
def test_puct(seed, actions, simulations, _):
    model = layered(seed, actions, layers=8)
    prior = random_oracle(seed, model)
    output = ask(mctx.muzero_policy, model, prior, simulations, seed, dirichlet_fraction=0.0)
    agree(*ours("puct", model, prior, simulations), output)


def test_puct_constants_and_noise(monkeypatch):
    model = layered(7, 4, layers=8)
    prior = random_oracle(7, model)
    given = {"pb_c_init": 2.0, "pb_c_base": 50.0, "dirichlet_fraction": 0.4}
    output = ask(mctx.muzero_policy, model, prior, 60, 7, dirichlet_alpha=0.5, **given)
    key = jax.random.split(jax.random.PRNGKey(7), 3)[1]
    noise = jax.random.dirichlet(key, jnp.full(4, 0.5), (len(STATES),))
    monkeypatch.setattr("planners.noise.Noise.dirichlet", lambda *_: np.asarray(noise))
    agree(*ours("puct", model, prior, 60, **given), output)


@pytest.mark.parametrize(("seed", "actions", "simulations", "considered"), CASES)
def test_gumbel(seed, actions, simulations, considered, monkeypatch):
    model = layered(seed, actions, layers=8)
    prior = random_oracle(seed, model)
    output = ask(
        *(mctx.gumbel_muzero_policy, model, prior, simulations, seed),
        max_num_considered_actions=considered,
    )
    key = jax.random.split(jax.random.PRNGKey(seed))[1]
    noise = jax.random.gumbel(key, (len(STATES), actions))
    monkeypatch.setattr("planners.noise.Noise.gumbel", lambda *_: np.asarray(noise))
    plan, tree = ours("gumbel", model, prior, simulations, considered=considered)
    agree(plan, tree, output)
    assert np.array_equal(plan.action, output.action)


def test_gumbel_constants():
    model = layered(9, 5, layers=8)
    prior = random_oracle(9, model)

    def transform(tree, node):
        return mctx.qtransform_completed_by_mix_value(
            tree, node, value_scale=0.3, maxvisit_init=10.0
        )

    output = ask(
        mctx.gumbel_muzero_policy, model, prior, 64, 0, gumbel_scale=0.0, qtransform=transform
    )
    given = {"value_scale": 0.3, "maxvisit_init": 10.0, "gumbel_scale": 0.0}
    plan, tree = ours("gumbel", model, prior, 64, **given)
    agree(plan, tree, output)
    assert np.array_equal(plan.action, output.action)
