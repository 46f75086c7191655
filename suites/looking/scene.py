"""Draws MuJoCo scenes for `suites.looking.stage`: `python -m suites.looking.scene`.

A process of its own, as the physics runs with MUJOCO_GL=disable. It is sent the task's settings,
then for each picture a state and lines, all pickled, and answers with `(picture, None)` or, at its
end, `(None, reason)`.
"""

import os
import pickle
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from suites.errors import UserError
from suites.tasks import registry
from suites.video import camera, drawing

WIDTH, HEIGHT = 640, 480
SAMPLES = 4  # per pixel: lines are thin
MATT = 0.1  # of a line's colour is lit; the rest glows


@dataclass
class Line:
    """A line in space: points [n, 3] in m, its colour (red, green, blue, alpha), its radius.

    That is relative to the extent of all lines.
    """

    points: np.ndarray
    colour: tuple[float, float, float, float]
    width: float


def send(file: Any, message: Any) -> None:
    """Pickle a message into a pipe."""
    pickle.dump(message, file)
    file.flush()


def _put(scene: Any, lines: list[Line]) -> None:
    """Add lines to a `mujoco.MjvScene`, as many as it has room for."""
    import mujoco

    nothing = np.zeros(3), np.zeros(3), np.zeros(9)
    extent = float(np.linalg.norm(np.ptp(np.concatenate([li.points for li in lines]), axis=0)))
    # Long boxes: a line proper would be black in the shade, a cylinder has many more faces.
    cylinder, box = mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_BOX
    for line in lines:
        *rgb, alpha = line.colour
        colour = np.array([*(MATT * part for part in rgb), alpha], np.float32)
        for here, there in zip(line.points[:-1], line.points[1:], strict=True):
            if scene.ngeom >= scene.maxgeom:
                return
            geom = scene.geoms[scene.ngeom]
            mujoco.mjv_initGeom(geom, cylinder, *nothing, colour)
            mujoco.mjv_connector(geom, cylinder, line.width * extent, here, there)
            geom.type, geom.category = box, mujoco.mjtCatBit.mjCAT_DECOR  # throws no shadow
            geom.emission, geom.specular = 0.9 / MATT, 0.0  # its colour is its own, in any light
            scene.ngeom += 1


def main() -> None:
    """Draw what is asked for, until there is no more."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    try:
        settings = pickle.load(requests)
        state, lines = pickle.load(requests)
        with drawing():
            task = registry.make(settings)
        task.reset(seed=0)
        with camera(task, state, HEIGHT, WIDTH, SAMPLES) as picture:
            while True:
                add = (lambda scene, lines=lines: _put(scene, lines)) if lines else None
                send(answers, (picture(state, add), None))
                state, lines = pickle.load(requests)
    except EOFError:
        return
    except UserError as error:
        send(answers, (None, " ".join(str(error).split())))


if __name__ == "__main__":
    main()
