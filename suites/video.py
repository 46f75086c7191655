"""Videos of recorded episodes: `python -m suites.video <run directory>`.

A process of its own, started after the run: the physics runs with MUJOCO_GL=disable, while drawing
needs it set to what the machine has (`egl` for software rendering) before MuJoCo is imported.
"""

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from suites.errors import UserError

WIDTH, HEIGHT = 480, 360  # of MuJoCo's pictures
MOST_FPS = 50.0
LIBRARIES = "libegl1 libopengl0 libgl1-mesa-dri"


def pending(run: Path) -> dict[Path, Path]:
    """The videos that are still to be made, with the states that each is made from."""
    videos = {}
    for states in sorted(run.glob("checkpoint/evaluation-*/episode*.npy")):
        after = states.parent.name.removeprefix("evaluation-")
        name = states.stem if after == "0" else f"{states.stem}-after-{after}"
        videos[run / "video" / f"{name}.mp4"] = states
    return {video: states for video, states in videos.items() if not video.exists()}


def render(task: Any, states: np.ndarray, fps: float) -> Iterator[np.ndarray]:
    """Pictures [height, width, 3] of a task's states [T, S], `fps` of a simulated second.

    A task that can draw itself has a method `picture(state)`.

    Raises:
      UserError: for a task that can't be drawn.
    """
    shown = states[np.arange(0, len(states), 1 / (fps * task.facts.control_dt)).astype(int)]
    if not hasattr(task, "picture"):
        return render_physics(task, shown)
    return (task.picture(state) for state in shown)


def render_physics(task: Any, states: np.ndarray) -> Iterator[np.ndarray]:
    """Pictures [HEIGHT, WIDTH, 3] of physics states [T, S]."""
    with camera(task, states[0], HEIGHT, WIDTH) as picture:
        for state in states:
            yield picture(state)


@contextmanager
def camera(
    task: Any, first: np.ndarray, height: int, width: int, samples: int = 0
) -> Iterator[Callable[..., np.ndarray]]:
    """`picture(state, add)` of a task's physics, [height, width, 3].

    Seen by the model's first camera, which in most models follows the body, or else as a whole.
    `add(scene)` puts more into the `mujoco.MjvScene`. `first` [S] is a state of the episode.

    Raises:
      UserError: for a task that has no physics.
    """
    with drawing():
        import mujoco

        mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 8, 8).close()
    simulation = task.simulation
    if not hasattr(simulation, "model"):
        raise UserError(f"{task.facts.name} has nothing to draw")
    model = getattr(simulation, "models", [simulation.model])[0]
    data = simulation.datas[0] if hasattr(simulation, "datas") else simulation.data
    simulation.observe(first[None])  # before the renderer is made, which keeps a copy of a terrain
    model.vis.quality.offsamples = samples  # without, twice as fast if there is no GPU
    model.vis.global_.offwidth = max(width, model.vis.global_.offwidth)
    model.vis.global_.offheight = max(height, model.vis.global_.offheight)
    with mujoco.Renderer(model, height, width) as renderer:
        renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0

        def picture(state: np.ndarray, add: Callable[[Any], None] | None = None) -> np.ndarray:
            simulation.observe(state[None])  # as it must, it sets the physics to this state
            renderer.update_scene(data, camera=0 if model.ncam else -1)
            if add is not None:
                add(renderer.scene)
            return renderer.render()

        yield picture


@contextmanager
def drawing() -> Iterator[None]:
    """Where MuJoCo can fail for want of libraries, already when it is imported."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # what PyOpenGL raises without libraries is of no one kind
        while error.__cause__ is not None:  # Hydra wraps it
            error = error.__cause__
        raise UserError(f"apt install {LIBRARIES} (MuJoCo can't draw: {error})") from error


def write_video(path: Path, pictures: Iterator[np.ndarray], fps: float) -> None:
    """Write an MP4 that plays in browsers (H.264, yuv420p)."""
    try:
        import imageio_ffmpeg
    except ImportError:
        raise UserError("pip install imageio-ffmpeg") from None
    path.parent.mkdir(exist_ok=True)
    first = next(pictures)
    height, width, _ = first.shape
    unfinished = path.with_name(f".{path.name}")
    writer = imageio_ffmpeg.write_frames(
        str(unfinished),
        (width, height),
        fps=fps,  # pyright: ignore[reportArgumentType]  (it takes fractions)
        codec="libx264",
        pix_fmt_out="yuv420p",
        macro_block_size=2,
        output_params=["-movflags", "+faststart", "-f", "mp4"],
    )
    writer.send(None)
    try:
        for picture in itertools.chain([first], pictures):
            writer.send(np.ascontiguousarray(picture))
        writer.close()
        os.replace(unfinished, path)
    finally:
        writer.close()
        unfinished.unlink(missing_ok=True)


def frames_per_second(control_dt: float) -> float:
    """At real time: a picture each control step, or fewer where that would be too many."""
    stride = int(np.ceil(round(1 / (control_dt * MOST_FPS), 9)))
    return 1 / (control_dt * stride)


def main(run: Path) -> None:
    """Make the pending videos of a run.

    Raises:
      UserError: says what to install.
    """
    from omegaconf import OmegaConf

    from suites.tasks import registry

    config = OmegaConf.to_container(OmegaConf.load(run / "config.yaml"), resolve=True)
    assert isinstance(config, dict)
    with drawing():
        task = registry.make(config["task"])
    task.reset(seed=0)
    for video, states in pending(run).items():
        fps = frames_per_second(task.facts.control_dt)
        write_video(video, render(task, np.load(states), fps), fps)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except UserError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
