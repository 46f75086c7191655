"""Which features a state has, and whether they are new: width 1.

A state's features are booleans ("atoms"). IW(1) asks of a state whether one of its atoms was not
seen so far at its depth or above it (Lipovetzky and Geffner 2012; for rollouts, Bandres, Bonet and
Geffner 2018). A table holds, per atom, the least depth at which it was seen.

The atoms of a state are not stored: its code is, from which they are enumerated.

- ram: the code is F bytes; atom 256 i + v says that byte i is v (Lipovetzky, Ramirez and Geffner
  2015: 128 bytes of RAM, 32,768 atoms).
- of screens of 210 x 160 pixels and 128 colours, in 14 x 16 tiles of 15 x 10 pixels (Liang et al.
  2016): the code is 128 bits per tile, one per colour that occurs in it.
  - basic: colour k is in tile (r, c). 28,672 atoms.
  - bpros: also, colours k and m are in tiles that lie (dr, dc) apart. 6,856,768 more.
  - bprost: also, colour k is in a tile of this screen and colour m in a tile of the one before that
    lies (dr, dc) apart. 13,713,408 more.
"""

import numpy as np
from numba import njit

from planners.interface import PlanningError

ROWS, COLUMNS, COLOURS = 14, 16, 128
HEIGHT, WIDTH = 15, 10  # pixels of a tile
TILES = ROWS * COLUMNS
PIXELS = TILES * HEIGHT * WIDTH
OFFSETS = (2 * ROWS - 1) * (2 * COLUMNS - 1)
BYTES = COLOURS // 8
PAIRS_IN_TIME = OFFSETS * COLOURS * COLOURS
PAIRS_IN_SPACE = (PAIRS_IN_TIME + COLOURS) // 2  # unordered; a pair with itself counts in full

RAM, BASIC, BPROS, BPROST = range(4)
KINDS = {"ram": RAM, "basic": BASIC, "bpros": BPROS, "bprost": BPROST}
STALE, TIED, NOVEL = range(3)
DEEPEST = 65535  # what a table holds is DEEPEST - depth; 0: never seen


def encode(kind: int, features: np.ndarray) -> np.ndarray:
    """Codes uint8 [M, C] of bytes [M, F], or of palette screens [M, 210, 160], flat or not.

    Of a game with more than 210 rows of pixels, the lower ones are left out.

    Raises:
      PlanningError: where the features are none that have such atoms.
    """
    flat = features.reshape(len(features), -1)
    code = flat.astype(np.uint8)
    if not (code == flat).all():
        raise PlanningError(
            "planner.search=iw needs features that are whole numbers from 0 to 255: choose a task"
            " that has such, as Atari's RAM or screen"
        )
    if kind == RAM:
        return code
    if flat.shape[1] < PIXELS:
        raise PlanningError(
            f"planner.features of screens need {PIXELS} pixels per state, and the task gives"
            f" {flat.shape[1]} features: choose planner.features=ram"
        )
    return screen_code(code)


def atom_count(kind: int, size: int) -> int:
    """How many atoms there are, for codes of `size` bytes."""
    if kind == RAM:
        return 256 * size
    count = TILES * COLOURS
    count += PAIRS_IN_SPACE if kind >= BPROS else 0
    count += PAIRS_IN_TIME if kind == BPROST else 0
    return count


@njit(cache=True, nogil=True)
def screen_code(screens):
    """Codes [M, 14 * 16 * 16] of screens [M, 210 * 160]; bit k of a tile: 2 k occurs."""
    code = np.zeros((len(screens), TILES * BYTES), np.uint8)
    for m in range(len(screens)):
        for y in range(ROWS * HEIGHT):
            for x in range(COLUMNS * WIDTH):
                colour = screens[m, y * COLUMNS * WIDTH + x] >> 1
                tile = (y // HEIGHT) * COLUMNS + x // WIDTH
                code[m, tile * BYTES + (colour >> 3)] |= np.uint8(1 << (colour & 7))
    return code


@njit(cache=True, nogil=True)
def basic_atoms(code):
    """Basic atoms of a screen's code: tile * 128 + colour, ascending."""
    count = 0
    for i in range(len(code)):
        for bit in range(8):
            count += code[i] >> bit & 1
    atoms = np.empty(count, np.int64)
    count = 0
    for i in range(len(code)):
        for bit in range(8):
            if code[i] >> bit & 1:
                atoms[count] = 8 * i + bit
                count += 1
    return atoms


@njit(cache=True, nogil=True)
def offset(first, second):
    """Number of the offset (dr, dc) between the tiles of two basic atoms; (0, 0) is the middle."""
    a, b = first // COLOURS, second // COLOURS
    dr, dc = a // COLUMNS - b // COLUMNS, a % COLUMNS - b % COLUMNS
    return (dr + ROWS - 1) * (2 * COLUMNS - 1) + dc + COLUMNS - 1


@njit(cache=True, nogil=True)
def pair_in_space(first, second):
    """Number of (dr, dc, k, m) for an unordered pair of basic atoms."""
    k, m = first % COLOURS, second % COLOURS
    if k == m:
        distinct = OFFSETS * (COLOURS * (COLOURS - 1) // 2)
        return distinct + abs(offset(first, second) - OFFSETS // 2) * COLOURS + k
    if k > m:
        first, second, k, m = second, first, m, k
    return offset(first, second) * (COLOURS * (COLOURS - 1) // 2) + m * (m - 1) // 2 + k


@njit(cache=True, nogil=True)
def pair_in_time(first, second):
    """Number of (dr, dc, k, m) for a basic atom of this screen and one of the screen before."""
    pair = (first % COLOURS) * COLOURS + second % COLOURS
    return offset(first, second) * COLOURS * COLOURS + pair


@njit(cache=True, nogil=True)
def see(table, atom, rank, update):
    """Whether an atom is new, at the least depth so far, or stale; noted if `update`."""
    if table[atom] < rank:
        if update:
            table[atom] = rank
        return NOVEL
    return TIED if table[atom] == rank else STALE


@njit(cache=True, nogil=True)
def novelty(kind, code, before, depth, table, update):
    """How new a state is at its depth.

    Arguments:
      kind: Of features, one of `KINDS`.
      code: Of the state [C]. before: Of the state before it [C], for bprost.
      table: uint16 [atoms], DEEPEST - least depth of each atom.
      update: Whether to note the state's atoms at `depth` in the table.

    Returns:
      NOVEL if an atom was not seen at this depth or above, TIED if one has this as its least depth,
      STALE if all were seen above.
    """
    rank = np.uint16(DEEPEST - min(depth, DEEPEST - 1))
    found = STALE
    if kind == RAM:
        for i in range(len(code)):
            found = max(found, see(table, 256 * i + np.int64(code[i]), rank, update))
            if found == NOVEL and not update:
                return found
        return found
    basic = basic_atoms(code)
    for i in range(len(basic)):
        found = max(found, see(table, basic[i], rank, update))
        if found == NOVEL and not update:
            return found
    base = TILES * COLOURS
    if kind >= BPROS:
        for i in range(len(basic)):
            for j in range(i + 1):
                atom = base + pair_in_space(basic[i], basic[j])
                found = max(found, see(table, atom, rank, update))
            if found == NOVEL and not update:
                return found
        base += PAIRS_IN_SPACE
    if kind == BPROST:
        earlier = basic_atoms(before)
        for i in range(len(basic)):
            for j in range(len(earlier)):
                atom = base + pair_in_time(basic[i], earlier[j])
                found = max(found, see(table, atom, rank, update))
            if found == NOVEL and not update:
                return found
    return found
