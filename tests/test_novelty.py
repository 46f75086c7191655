"""Atoms of states, and what is new among them: against sets in plain Python."""

import numpy as np
import pytest

from planners import novelty
from planners.novelty import COLUMNS, DEEPEST, HEIGHT, KINDS, NOVEL, ROWS, STALE, TIED, WIDTH


def screens(seed, n=3):
    """Dark screens with some coloured blocks."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros((n, 210, 160), np.uint8)
    for screen in drawn:
        for _ in range(6):
            y, x = rng.integers(200), rng.integers(150)
            screen[y : y + rng.integers(1, 20), x : x + rng.integers(1, 20)] = 2 * rng.integers(128)
    return drawn


def basic_of(screen):
    return {
        (y // HEIGHT, x // WIDTH, int(screen[y, x]) // 2) for y in range(210) for x in range(160)
    }


def atoms_of(kind, screen, before):
    """All atoms as tuples, by the definitions of Liang et al. (2016)."""
    basic = basic_of(screen)
    atoms: set[tuple] = set(basic)
    if kind in ("bpros", "bprost"):
        for r, c, k in basic:
            for q, d, m in basic:
                atoms.add(("space", min((r - q, c - d, k, m), (q - r, d - c, m, k))))
    if kind == "bprost":
        for r, c, k in basic:
            for q, d, m in basic_of(before):
                atoms.add(("time", r - q, c - d, k, m))
    return atoms


@pytest.mark.parametrize("kind", ["basic", "bpros", "bprost"])
def test_screens_have_the_atoms_of_their_definition(kind):
    number = KINDS[kind]
    for seed in range(4):
        drawn = screens(seed)
        codes = novelty.encode(number, drawn)
        table = np.zeros(novelty.atom_count(number, codes.shape[1]), np.uint16)
        known: dict[tuple, int] = {}
        found = {i: atoms_of(kind, drawn[i], drawn[i - 1]) for i in (1, 2)}
        for i, depth in [(1, 3), (2, 3), (1, 2), (2, 4), (2, 3), (2, 2), (2, 2)]:
            atoms = found[i]
            best = [np.sign(known.get(atom, np.inf) - depth) for atom in atoms]
            expected = {1: NOVEL, 0: TIED, -1: STALE}[int(max(best))]
            args = (number, codes[i], codes[i - 1], depth, table)
            assert novelty.novelty(*args, False) == expected
            assert novelty.novelty(*args, True) == expected
            for atom in atoms:
                known[atom] = min(known.get(atom, 10**9), depth)
            assert np.count_nonzero(table) == len(known)  # no two atoms share a number
            depths = np.bincount(DEEPEST - table[table > 0].astype(int))
            np.testing.assert_array_equal(depths, np.bincount(list(known.values())))


def test_every_pair_has_a_number_of_its_own():
    """All offsets, with a few colours."""
    colours = [0, 1, 64, 127]
    tiles = [(0, 0), (0, COLUMNS - 1), (ROWS - 1, 0), (ROWS - 1, COLUMNS - 1), (5, 7)]
    everywhere = [(r, c) for r in range(ROWS) for c in range(COLUMNS)]
    space, time = {}, {}
    for r, c in tiles:
        for q, d in everywhere:
            for k in colours:
                for m in colours:
                    first = (r * COLUMNS + c) * 128 + k
                    second = (q * COLUMNS + d) * 128 + m
                    number = novelty.pair_in_space(first, second)
                    assert number == novelty.pair_in_space(second, first)
                    name = min((r - q, c - d, k, m), (q - r, d - c, m, k))
                    assert space.setdefault(number, name) == name
                    number, name = novelty.pair_in_time(first, second), (r - q, c - d, k, m)
                    assert time.setdefault(number, name) == name
    assert len(time) == 27 * 31 * 16
    assert len(space) == (27 * 31 * 16 + 4) // 2
    assert min(space) >= 0
    assert max(space) == novelty.PAIRS_IN_SPACE - 1
    assert max(time) == novelty.PAIRS_IN_TIME - 1


def test_the_numbers_of_atoms_are_the_published_ones():
    """Bandres et al. (2018), section on features: 28,672 + 6,856,768 + 13,713,408."""
    code = novelty.encode(novelty.BASIC, np.zeros((1, 210, 160), np.uint8)).shape[1]
    assert novelty.atom_count(novelty.RAM, 128) == 32_768
    assert novelty.atom_count(novelty.BASIC, code) == 28_672
    assert novelty.atom_count(novelty.BPROS, code) == 28_672 + 6_856_768
    assert novelty.atom_count(novelty.BPROST, code) == 28_672 + 6_856_768 + 13_713_408


def test_bytes():
    code = novelty.encode(novelty.RAM, np.array([[3.0, 255.0], [3.0, 0.0]]))
    table = np.zeros(novelty.atom_count(novelty.RAM, 2), np.uint16)
    assert novelty.novelty(novelty.RAM, code[0], code[0], 5, table, True) == NOVEL
    assert list(np.flatnonzero(table)) == [3, 256 + 255]
    assert novelty.novelty(novelty.RAM, code[0], code[0], 5, table, False) == TIED
    assert novelty.novelty(novelty.RAM, code[0], code[0], 6, table, False) == STALE
    assert novelty.novelty(novelty.RAM, code[0], code[0], 4, table, False) == NOVEL
    assert novelty.novelty(novelty.RAM, code[1], code[1], 6, table, False) == NOVEL
    assert novelty.novelty(novelty.RAM, code[1], code[1], 70_000, table, True) == NOVEL


def test_features_that_have_no_atoms_are_refused():
    for features in (np.array([[0.5]]), np.array([[256]]), np.array([[-1]])):
        with pytest.raises(ValueError, match="whole numbers from 0 to 255"):
            novelty.encode(novelty.RAM, features)
    with pytest.raises(ValueError, match=r"33600 pixels per state, and the task gives 128"):
        novelty.encode(novelty.BASIC, np.zeros((1, 128)))


def test_screens_may_be_flat_and_long():
    drawn = screens(0)
    code = novelty.encode(novelty.BASIC, drawn)
    long = np.concatenate([drawn, np.full((3, 40, 160), 2, np.uint8)], axis=1)
    for same in (drawn.reshape(3, -1), long, long.reshape(3, -1)):
        np.testing.assert_array_equal(code, novelty.encode(novelty.BASIC, same))
