"""Five captions of an invented scene, each about another side of it and none about all of it."""

from collections import Counter
from random import Random

from fico.datasets.shapes.scenes import SIDE, Scene, Thing

# The first word of each list is the usual one and is taken about half of the time.
KIND_WORDS = {
    "circle": ("circle", "disc", "ball"),
    "square": ("square", "box", "block"),
    "triangle": ("triangle", "wedge"),
    "star": ("star",),
    "bar": ("bar", "stick"),
    "ring": ("ring", "hoop"),
    "cross": ("cross", "plus"),
    "heart": ("heart",),
    "diamond": ("diamond", "rhombus"),
    "crescent": ("crescent", "moon"),
    "hexagon": ("hexagon",),
    "arrow": ("arrow", "pointer"),
    "dome": ("dome", "semicircle"),
    "bolt": ("bolt", "zigzag"),
}
PLURALS = {"box": "boxes", "cross": "crosses", "plus": "pluses", "rhombus": "rhombuses"}
COLOUR_WORDS = {
    "red": ("red", "crimson"),
    "blue": ("blue",),
    "green": ("green",),
    "yellow": ("yellow", "golden"),
    "orange": ("orange",),
    "purple": ("purple", "violet"),
    "pink": ("pink", "rosy"),
    "brown": ("brown",),
    "black": ("black", "dark"),
}
SIZE_WORDS = {
    "small": ("small", "tiny", "little"),
    "medium": ("medium", "middling"),
    "large": ("large", "big", "huge"),
}
BACKGROUND_WORDS = {
    "white": ("a white background", "an empty white page"),
    "grey": ("a grey background", "a plain grey wall"),
    "sand": ("a sandy background", "beige sand"),
    "sky": ("a pale blue background", "a bright sky"),
    "sunset": ("a reddish sunset", "an evening sky"),
    "meadow": ("a pale green background", "a meadow"),
    "night": ("a dark background", "the night sky"),
    "checked": ("a checked background", "a chequered floor"),
}
NUMBERS = ("no", "one", "two", "three", "four", "five")
PLACES = (
    ("in the top left corner", "at the top", "in the top right corner"),
    ("at the left", "in the middle", "at the right"),
    ("in the bottom left corner", "at the bottom", "in the bottom right corner"),
)


def captions(random: Random, scene: Scene) -> list[str]:
    """Write the five captions: objects, a relation, the layout, background and count, one object closely."""
    return [
        _objects(random, scene),
        _relation(random, scene),
        _layout(random, scene),
        _background(random, scene),
        _detail(random, scene),
    ]


def relation_between(random: Random, first: Thing, second: Thing) -> str:
    """Say how ``first`` lies to ``second``, by the axis along which they lie further apart."""
    across, down = first.x - second.x, first.y - second.y
    if across == down == 0.0:
        return random.choice(("inside", "within"))
    if abs(across) > abs(down):
        return random.choice(("left of", "to the left of") if across < 0 else ("right of", "to the right of"))
    return random.choice(("above", "over", "higher than") if down < 0 else ("below", "under", "lower than"))


def place_of(thing: Thing) -> str:
    """Say in which ninth of the picture the centre of a thing lies."""
    column, row = (min(int(3 * value / SIDE), 2) for value in (thing.x, thing.y))
    return PLACES[row][column]


def _objects(random: Random, scene: Scene) -> str:
    groups = Counter((thing.colour, thing.kind) for thing in scene.things)
    order = list(groups.items())
    random.shuffle(order)
    listed = [_counted(random, count, colour, kind) for (colour, kind), count in order]
    opening = random.choice(("", "", "a picture of ", "there is ", "this shows "))
    return opening + _joined(listed)


def _relation(random: Random, scene: Scene) -> str:
    first, second = random.sample(scene.things, 2)
    if scene.is_nested and random.random() < 0.8:
        first, second = scene.things[-1], scene.things[0]
    if (first.x, first.y) == (second.x, second.y) and first.radius > second.radius:
        first, second = second, first  # the outer one is not inside the inner one
    verb = random.choice(("is", "lies", "can be seen"))
    return f"{_named(random, first)} {verb} {relation_between(random, first, second)} {_named(random, second)}"


def _layout(random: Random, scene: Scene) -> str:
    chosen = random.sample(scene.things, min(len(scene.things), random.choice((1, 2))))
    parts = [f"{_named(random, thing)} {place_of(thing)}" for thing in chosen]
    return random.choice(("", "there is ", "we see ")) + _joined(parts)


def _background(random: Random, scene: Scene) -> str:
    count = len(scene.things)
    things = random.choice(("shapes", "things", "figures"))
    ground = random.choice(BACKGROUND_WORDS[scene.background])
    kind, often = Counter(thing.kind for thing in scene.things).most_common(1)[0]
    opening = f"{NUMBERS[count]} {things} on {ground}"
    if often == count:
        return f"{opening}, all of them {_plural(_word(random, KIND_WORDS[kind]))}"
    if random.random() < 0.5:
        return opening
    word = _word(random, KIND_WORDS[kind])
    return f"{opening}, {NUMBERS[often]} of them {_with_article(word) if often == 1 else _plural(word)}"


def _detail(random: Random, scene: Scene) -> str:
    thing = random.choice(scene.things)
    words = [_word(random, SIZE_WORDS[thing.size])]
    if thing.texture != "plain":
        words.append(thing.texture)
    if random.random() < 0.5:
        words.append(_word(random, COLOUR_WORDS[thing.colour]))
    words.append(_word(random, KIND_WORDS[thing.kind]))
    ending = random.choice(("", " somewhere in the picture", " among other things", " is part of the scene"))
    return _with_article(" ".join(words)) + ending


def _named(random: Random, thing: Thing) -> str:
    colour, kind = _word(random, COLOUR_WORDS[thing.colour]), _word(random, KIND_WORDS[thing.kind])
    return _with_article(random.choice((f"{colour} {kind}", f"{colour} {kind}", kind, f"{colour} shape")))


def _counted(random: Random, count: int, colour: str, kind: str) -> str:
    word = _word(random, KIND_WORDS[kind])
    coloured = f"{_word(random, COLOUR_WORDS[colour])} {word if count == 1 else _plural(word)}"
    return _with_article(coloured) if count == 1 else f"{NUMBERS[count]} {coloured}"


def _word(random: Random, words: tuple[str, ...]) -> str:
    return words[0] if random.random() < 0.5 else random.choice(words)


def _plural(word: str) -> str:
    return PLURALS.get(word, f"{word}s")


def _with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
