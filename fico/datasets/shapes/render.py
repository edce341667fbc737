"""Painting an invented scene with Pillow, at twice the size and then reduced, so that edges are smooth."""

from functools import cache
from math import cos, pi, radians, sin

import numpy as np
from jaxtyping import Float
from numpy.random import Generator

from fico.datasets.shapes.scenes import SIDE, Scene, Thing
from fico.util.optional import requires_extra

with requires_extra("data"):
    from PIL import Image, ImageDraw

SCALE = 2
PIXELS = int(SIDE)
CANVAS = SCALE * PIXELS
Colour = tuple[int, int, int]
Point = tuple[float, float]

COLOUR_VALUES: dict[str, Colour] = {
    "red": (214, 38, 34),
    "blue": (38, 84, 210),
    "green": (40, 150, 60),
    "yellow": (246, 208, 36),
    "orange": (242, 134, 24),
    "purple": (126, 52, 168),
    "pink": (246, 122, 184),
    "brown": (128, 80, 42),
    "black": (26, 26, 30),
}
# Colour at the top and at the bottom of the picture.
BACKGROUND_VALUES: dict[str, tuple[Colour, Colour]] = {
    "white": ((250, 250, 250), (242, 242, 242)),
    "grey": ((172, 172, 176), (152, 152, 156)),
    "sand": ((238, 222, 184), (224, 204, 160)),
    "sky": ((176, 214, 246), (212, 234, 252)),
    "sunset": ((250, 186, 140), (222, 140, 150)),
    "meadow": ((188, 226, 172), (160, 206, 142)),
    "night": ((24, 28, 64), (44, 44, 88)),
    "checked": ((236, 236, 236), (208, 208, 208)),
}
HOLES = {"ring": (0.0, 0.0, 0.55), "crescent": (0.45, -0.1, 0.8)}  # centre and radius of what is cut out


def render(noise: Generator, scene: Scene) -> Image.Image:
    """Paint a scene, RGB, `PIXELS` by `PIXELS`, with light from one side and a little noise."""
    canvas = _ground(scene.background)
    for thing in scene.things:
        _paint(canvas, thing, noise)
    pixels = np.asarray(canvas.reduce(SCALE), dtype=np.float32)
    ramp = np.linspace(-0.5, 0.5, PIXELS, dtype=np.float32)
    across, down = noise.uniform(-0.16, 0.16, 2).astype(np.float32)
    light = 1 + across * ramp[None, :, None] + down * ramp[:, None, None]
    grain = noise.standard_normal(pixels.shape, dtype=np.float32) * 4
    return Image.fromarray(np.clip(pixels * light + grain, 0, 255).astype(np.uint8))


@cache
def _ground_values(background: str) -> Float[np.ndarray, "height width rgb"]:
    top, bottom = (np.array(colour, dtype=np.float32) for colour in BACKGROUND_VALUES[background])
    rows = np.arange(CANVAS)
    if background == "checked":
        is_dark = (rows[:, None] // 24 + rows[None, :] // 24) % 2 == 1
        return np.where(is_dark[..., None], bottom - 50, top)
    fraction = (rows / (CANVAS - 1))[:, None, None]
    return np.broadcast_to(top + fraction * (bottom - top), (CANVAS, CANVAS, 3))


def _ground(background: str) -> Image.Image:
    return Image.fromarray(_ground_values(background).astype(np.uint8))


def _paint(canvas: Image.Image, thing: Thing, noise: Generator) -> None:
    radius = SCALE * thing.radius
    side = 2 * int(radius) + 3
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    turn, middle = radians(thing.angle), side / 2
    draw.polygon([_turned(point, turn, radius, middle) for point in _outline(thing.kind)], fill=255)
    if thing.kind in HOLES:
        x, y, hole = HOLES[thing.kind]
        x, y = _turned((x, y), turn, radius, middle)
        draw.ellipse((x - hole * radius, y - hole * radius, x + hole * radius, y + hole * radius), fill=0)
    corner = (round(SCALE * thing.x - middle), round(SCALE * thing.y - middle))
    canvas.paste(_surface(thing, side, noise), corner, mask)


def _surface(thing: Thing, side: int, noise: Generator) -> Image.Image:
    shade = np.array(COLOUR_VALUES[thing.colour]) + noise.integers(-14, 15, 3)
    rows, columns = np.indices((side, side))
    marks = np.zeros((side, side), dtype=bool)
    if thing.texture == "striped":
        marks = (rows + columns) % 12 < 5
    elif thing.texture == "dotted":
        marks = (rows % 12 - 6) ** 2 + (columns % 12 - 6) ** 2 < 12
    light = np.array((248, 248, 244)) if thing.colour != "yellow" else np.array((120, 90, 20))
    return Image.fromarray(np.where(marks[..., None], light, shade).clip(0, 255).astype(np.uint8))


def _turned(point: Point, turn: float, radius: float, middle: float) -> Point:
    x, y = point
    across, down = x * cos(turn) - y * sin(turn), x * sin(turn) + y * cos(turn)
    return middle + radius * across, middle + radius * down


@cache
def _outline(kind: str) -> tuple[Point, ...]:
    """Corners of a kind within the unit circle, y pointing down."""
    if kind in _POLYGONS:
        return _POLYGONS[kind]
    if kind == "star":
        return tuple(_on_circle(0.42 if step % 2 else 1.0, step / 10) for step in range(10))
    if kind == "hexagon":
        return tuple(_on_circle(1.0, step / 6) for step in range(6))
    if kind == "dome":
        return tuple((cos(pi * step / 24), 0.5 - sin(pi * step / 24)) for step in range(25))
    if kind == "heart":
        return tuple(_heart(2 * pi * step / 40) for step in range(40))
    return tuple(_on_circle(1.0, step / 48) for step in range(48))  # circle, ring, crescent


def _on_circle(radius: float, fraction: float) -> Point:
    return radius * sin(2 * pi * fraction), -radius * cos(2 * pi * fraction)


def _heart(angle: float) -> Point:
    height = 13 * cos(angle) - 5 * cos(2 * angle) - 2 * cos(3 * angle) - cos(4 * angle)
    return 0.95 * sin(angle) ** 3, -height / 17


_POLYGONS: dict[str, tuple[Point, ...]] = {
    "square": ((-0.74, -0.74), (0.74, -0.74), (0.74, 0.74), (-0.74, 0.74)),
    "triangle": ((0.0, -1.0), (0.92, 0.72), (-0.92, 0.72)),
    "bar": ((-0.97, -0.26), (0.97, -0.26), (0.97, 0.26), (-0.97, 0.26)),
    "diamond": ((0.0, -1.0), (0.62, 0.0), (0.0, 1.0), (-0.62, 0.0)),
    "cross": (
        *((-0.3, -0.95), (0.3, -0.95), (0.3, -0.3), (0.95, -0.3), (0.95, 0.3), (0.3, 0.3)),
        *((0.3, 0.95), (-0.3, 0.95), (-0.3, 0.3), (-0.95, 0.3), (-0.95, -0.3), (-0.3, -0.3)),
    ),
    "arrow": (
        *((-0.95, -0.22), (0.1, -0.22), (0.1, -0.7), (0.98, 0.0)),
        *((0.1, 0.7), (0.1, 0.22), (-0.95, 0.22)),
    ),
    "bolt": ((0.2, -1.0), (-0.6, 0.15), (-0.05, 0.15), (-0.3, 1.0), (0.6, -0.25), (0.05, -0.25)),
}
