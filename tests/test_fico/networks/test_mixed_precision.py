"""Every pair scorer and matcher in half precision: scores in float32, close to those of single precision."""

import pytest
import torch

from fico.networks.blip2 import BLIP2
from fico.networks.imram import IMRAM
from fico.networks.scan import SCAN
from fico.networks.xvlm import XVLM
from fico.protocols import Matcher

IMAGES, LIST, WORDS, DIM = 12, 3, 8, 32
REGIONS = {"image_dim": 24, "vocab_size": 30, "embed_dim": DIM, "word_dim": 16}
SCORERS = {
    "scan t2i": lambda: SCAN(**REGIONS),
    "scan t2i mean": lambda: SCAN(**REGIONS, aggregation="Mean"),
    "scan t2i sum": lambda: SCAN(**REGIONS, aggregation="Sum"),
    "scan t2i max": lambda: SCAN(**REGIONS, aggregation="Max"),
    "scan t2i l2norm": lambda: SCAN(**REGIONS, norm="l2norm"),
    "scan t2i softmax": lambda: SCAN(**REGIONS, norm="softmax"),
    "scan t2i no norm": lambda: SCAN(**REGIONS, norm="no_norm"),
    "scan i2t": lambda: SCAN(**REGIONS, direction="i2t", lambda_softmax=4.0),
    "scan i2t mean": lambda: SCAN(**REGIONS, direction="i2t", aggregation="Mean", lambda_softmax=4.0),
    "imram": lambda: IMRAM(**REGIONS),
    "imram text": lambda: IMRAM(**REGIONS, mode="text"),
    "imram image": lambda: IMRAM(**REGIONS, mode="image"),
    "imram normalised memory": lambda: IMRAM(**REGIONS, normalise_memory=True),
    "blip2": lambda: BLIP2(
        vocab_size=30, image_size=16, patch_size=4, vision_dim=16, vision_layers=2, vision_heads=2,
        vision_inner_dim=24, dim=16, layers=2, heads=2, inner_dim=24, positions=12, queries=3, embed_dim=8,
    ),
    "xvlm": lambda: XVLM(
        vocab_size=30, image_size=32, window=4, vision_dim=8, vision_depths=(2, 2), vision_heads=(2, 2), dim=16,
        heads=4, layers=1, fusion_layers=2, inner_dim=24, positions=12, embed_dim=8,
    ),
}  # fmt: skip
PACKED = ("scan t2i", "scan t2i mean", "scan t2i sum", "scan t2i max", "scan t2i l2norm", "scan t2i no norm")
CASES = [
    *[(name, method) for name in SCORERS if name[:4] in ("scan", "imra") for method in ("score", "score_lists")],
    *[(name, "score_packed") for name in PACKED],
    *[("blip2", "score"), ("blip2", "match"), ("xvlm", "match")],
]
# Of the largest and the mean difference, as fractions of the standard deviation of the scores: twice what was measured.
BOUNDS = {torch.bfloat16: (0.5, 0.04), torch.float16: (0.06, 0.006)}


def _arguments(scorer, method):
    """Of the method: rows in float32, as a store keeps them. One image has a region without features."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(3, WORDS + 1, (IMAGES * LIST,), generator=generator)
    ids = torch.randint(5, 30, (IMAGES * LIST, WORDS), generator=generator)
    ids = ids * (torch.arange(WORDS) < lengths[:, None])
    if isinstance(scorer, Matcher):
        pixels = torch.randn(IMAGES, 3, *2 * [getattr(scorer, "image_size", 32)], generator=generator)
        if method == "score":
            return scorer.encode_images(pixels), scorer.encode_texts(ids, lengths), lengths
        states = scorer.image_states(pixels).repeat_interleave(LIST, dim=0)
        return states, scorer.match_texts(ids, lengths), lengths
    images = scorer.encode_images(torch.randn(IMAGES, 9, 24, generator=generator))
    images[0, 0] = 0
    texts = scorer.encode_texts(ids, lengths)
    if method == "score":
        return images, texts, lengths
    if method == "score_lists":
        return images, texts.unflatten(0, (IMAGES, LIST)), lengths.view(IMAGES, LIST)
    rows = [row[:length] for row, length in zip(texts, lengths.tolist(), strict=True)]
    packed = [torch.cat(rows[at : at + LIST]) for at in range(0, len(rows), LIST)]
    return images, torch.nn.utils.rnn.pad_sequence(packed, batch_first=True), lengths.view(IMAGES, LIST)


@pytest.mark.parametrize("dtype", BOUNDS, ids=str)
@pytest.mark.parametrize(("name", "method"), CASES)
def test_half_precision_changes_the_scores_by_a_small_part_of_their_spread(name, method, dtype):
    torch.manual_seed(0)
    scorer = SCORERS[name]().eval()
    with torch.inference_mode():
        arguments = _arguments(scorer, method)
        single = getattr(scorer, method)(*arguments)
        with torch.autocast("cpu", dtype=dtype):
            half = getattr(scorer, method)(*arguments)
    assert half.dtype == single.dtype == torch.float32
    assert half.isfinite().all()
    error, (largest, mean) = (half - single).abs() / single.std(), BOUNDS[dtype]
    assert error.max() < largest
    assert error.mean() < mean


@pytest.mark.parametrize("name", ["scan t2i", "imram"])
def test_half_precision_trains(name):
    torch.manual_seed(0)
    scorer = SCORERS[name]()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        images, texts, lengths = _arguments(scorer, "score")
        scorer.score(images, texts, lengths).sum().backward()
    trained = [parameter for parameter in scorer.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in trained)


def test_first_scores_in_half_precision_are_those_of_single_precision():
    """Candidates would be chosen among ties: bfloat16 has some hundred values between 0.5 and 1."""
    scorer = SCORERS["blip2"]().eval()
    with torch.inference_mode():
        arguments = _arguments(scorer, "score")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = scorer.score(*arguments)
        assert torch.equal(half, scorer.score(*arguments))
