"""Invented scenes: what is in them, drawn at random, and the categories that follow from it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import hypot
from random import Random

SIDE = 96.0
RADII = {"small": (8.0, 9.5), "medium": (12.0, 14.0), "large": (18.5, 21.5)}

# Kind: how often it is chosen, and its two favourite colours. The frequencies fall like Zipf's law, and the
# favourites make a kind likelier where its colours are seen, as bananas are where yellow is.
KINDS = {
    "circle": (20.0, "red", "blue"),
    "square": (12.0, "blue", "brown"),
    "triangle": (9.0, "green", "orange"),
    "star": (7.5, "yellow", "red"),
    "bar": (6.5, "brown", "black"),
    "ring": (5.5, "purple", "yellow"),
    "cross": (5.0, "black", "green"),
    "heart": (4.5, "pink", "red"),
    "diamond": (4.0, "blue", "purple"),
    "crescent": (3.5, "yellow", "orange"),
    "hexagon": (3.0, "orange", "brown"),
    "arrow": (2.5, "black", "pink"),
    "dome": (2.0, "purple", "green"),
    "bolt": (2.0, "orange", "pink"),
}
COLOURS = ("red", "blue", "green", "yellow", "orange", "purple", "pink", "brown", "black")
# Background: how often it is chosen, and the colours that would be lost on it.
BACKGROUNDS: dict[str, tuple[float, tuple[str, ...]]] = {
    "white": (24.0, ()),
    "grey": (16.0, ()),
    "sand": (16.0, ("yellow", "orange", "brown")),
    "sky": (14.0, ()),
    "sunset": (10.0, ("orange", "pink", "red")),
    "meadow": (8.0, ("green",)),
    "night": (7.0, ("black", "blue", "brown")),
    "checked": (5.0, ()),
}
HOLLOW_ENOUGH = ("circle", "square", "hexagon", "diamond")  # a small thing fits inside a large one of these
CLASSES = (*KINDS, "striped", "dotted", "meadow", "night", "checked", "nested")


@dataclass(frozen=True, slots=True)
class Thing:
    """One object: centre and radius in pixels of a picture of `SIDE` by `SIDE`, angle in degrees."""

    kind: str
    colour: str
    size: str
    texture: str
    x: float
    y: float
    radius: float
    angle: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Objects before a background; where ``is_nested``, the last one lies inside the first."""

    background: str
    things: tuple[Thing, ...]
    is_nested: bool


def draw_scene(random: Random) -> Scene:
    """Draw a scene of two to five objects of one to three kinds."""
    background = random.choices(list(BACKGROUNDS), [fraction for fraction, _ in BACKGROUNDS.values()])[0]
    kinds = _draw_kinds(random)
    count = max(len(kinds), random.choice((2, 3, 3, 4, 4, 5)))
    kinds += random.choices(kinds, k=count - len(kinds))
    texture = random.choices(("plain", "striped", "dotted"), (78, 12, 10))[0]
    is_nested = kinds[0] in HOLLOW_ENOUGH and random.random() < 0.25
    sizes = _draw_sizes(random, count, is_nested)
    things: list[Thing] = []
    for kind, size in zip(kinds, sizes, strict=True):
        worn = texture if not things or random.random() < 0.5 else "plain"
        colour = _draw_colour(random, kind, background)
        thing = Thing(kind, colour, size, worn, 0.0, 0.0, random.uniform(*RADII[size]), random.uniform(-15, 15))
        things.append(thing)
    return Scene(background, _mend_nesting(random, _place(random, things, is_nested), background, is_nested), is_nested)


def vary_scene(random: Random, scene: Scene) -> Scene:
    """Change one thing about a scene: two places, one colour, one kind or the background."""
    varied = scene
    while varied == scene:
        varied = _changed(random, scene)
    return varied


def categories(scene: Scene) -> list[bool]:
    """Give the multi-hot row of a scene over `CLASSES`."""
    present = {thing.kind for thing in scene.things} | {thing.texture for thing in scene.things}
    present |= {scene.background} | ({"nested"} if scene.is_nested else set())
    return [name in present for name in CLASSES]


def _changed(random: Random, scene: Scene) -> Scene:
    change = random.choice(("places", "colour", "kind", "background"))
    things = list(scene.things)
    row = random.randrange(len(things))
    if change == "places" and not scene.is_nested:
        other = (row + 1) % len(things)
        things[row], things[other] = _swapped(things[row], things[other])
    elif change == "kind" and not scene.is_nested:
        things[row] = replace(things[row], kind=_draw_kinds(random)[0])
    elif change == "background":
        lost = {thing.colour for thing in things}
        fitting = [name for name, (_, colours) in BACKGROUNDS.items() if not lost & set(colours)]
        return replace(scene, background=random.choice(fitting))
    else:
        things[row] = replace(things[row], colour=_draw_colour(random, things[row].kind, scene.background))
    placed = _mend_nesting(random, things, scene.background, scene.is_nested)
    return replace(scene, things=placed)


def _draw_kinds(random: Random) -> list[str]:
    wanted = random.choices((1, 2, 3), (45, 40, 15))[0]
    kinds: list[str] = []
    while len(kinds) < wanted:
        kind = random.choices(list(KINDS), [fraction for fraction, _, _ in KINDS.values()])[0]
        if kind not in kinds:
            kinds.append(kind)
    return kinds


def _draw_colour(random: Random, kind: str, background: str) -> str:
    _, first, second = KINDS[kind]
    lost = BACKGROUNDS[background][1]
    while True:
        colour = random.choices((first, second, random.choice(COLOURS)), (45, 25, 30))[0]
        if colour not in lost:
            return colour


def _draw_sizes(random: Random, count: int, is_nested: bool) -> list[str]:
    if is_nested:
        return ["large", *random.choices(("small", "medium"), k=count - 2), "small"]
    sizes = random.choices(("small", "medium", "large"), (35, 45, 20), k=count)
    return [size if sizes[:row].count("large") < 2 or size != "large" else "medium" for row, size in enumerate(sizes)]


def _place(random: Random, things: Sequence[Thing], is_nested: bool) -> list[Thing]:
    """Give places at which no two things touch, but for the last one inside the first if nested."""
    apart = things[:-1] if is_nested else things
    placed: list[Thing] = []
    while len(placed) < len(apart):
        thing = _beside(random, apart[len(placed)], placed)
        placed = [*placed, thing] if thing else []  # a scene that got stuck begins anew
    if is_nested:
        placed.append(replace(things[-1], x=placed[0].x, y=placed[0].y))
    return placed


def _beside(random: Random, thing: Thing, placed: Sequence[Thing]) -> Thing | None:
    """Give a thing a free place, or None if none was found."""
    for _ in range(30):
        there = _at(random, thing)
        if all(hypot(there.x - a.x, there.y - a.y) > there.radius + a.radius + 1 for a in placed):
            return there
    return None


def _at(random: Random, thing: Thing) -> Thing:
    low, high = thing.radius + 1, SIDE - thing.radius - 1
    return replace(thing, x=random.uniform(low, high), y=random.uniform(low, high))


def _swapped(first: Thing, second: Thing) -> tuple[Thing, Thing]:
    """Exchange places, and sizes with them, so that nothing touches."""
    a = replace(first, x=second.x, y=second.y, radius=second.radius, size=second.size)
    b = replace(second, x=first.x, y=first.y, radius=first.radius, size=first.size)
    return a, b


def _mend_nesting(random: Random, things: Sequence[Thing], background: str, is_nested: bool) -> tuple[Thing, ...]:
    """Give the inner thing another colour than the outer one, and the outer one a plain surface."""
    if not is_nested:
        return tuple(things)
    outer, inner = replace(things[0], texture="plain"), things[-1]
    while inner.colour == outer.colour:
        inner = replace(inner, colour=_draw_colour(random, inner.kind, background))
        if inner.colour == outer.colour:
            inner = replace(inner, colour=random.choice(COLOURS))
    return (outer, *things[1:-1], inner)
