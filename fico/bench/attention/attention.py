"""Cost of scoring all pairs with attention at query time, against the originals' loop and an embedding model.

Run it with ``python -m fico.bench.attention``.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from fico.bench.attention.caption_loops import imram_by_captions, scan_by_captions
from fico.bench.timing import once
from fico.networks.imram import IMRAM
from fico.networks.scan import SCAN
from fico.report.paper.cost.growth import fitted_exponent
from fico.report.table.table import Column, Row, Table, text_cells
from fico.report.table.terminal import print_table
from fico.scoring.matrix import score_matrix
from fico.types import EncodedBatch
from fico.util.resources import cores

SIZES = ((250, 1250), (500, 2500), (1000, 5000))
REGIONS = 36
FEWEST_WORDS, MOST_WORDS = 7, 19  # with both markers; most captions of COCO
LOOP_TILE = 128  # images and captions per tile of the originals
PAIRS_OF_A_SAMPLE = 128 * 64


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one matrix.

    Args:
        model: Name and options.
        dim: Width of the vectors.
        images: Rows of the matrix.
        texts: Columns.
        seconds: Wall clock of the tile scorer over all pairs.
        cpu_seconds: Processor time of the same.
        loop_cpu_seconds: Of the originals' loop over the same pairs in float32, from a part of a tile.
        loop64_cpu_seconds: The same in float64, in which the original of SCAN evaluates.
        embedding_seconds: Of one matrix product of vectors of the same width.
    """

    model: str
    dim: int
    images: int
    texts: int
    seconds: float
    cpu_seconds: float
    loop_cpu_seconds: float
    loop64_cpu_seconds: float
    embedding_seconds: float


def measure(network: SCAN | IMRAM, dim: int, sizes: Sequence[tuple[int, int]] = SIZES, *, seed: int = 0) -> list[Cost]:
    """Time the tile scorer and the loop, one after the other, on random unit vectors.

    Args:
        network: Its options are used; its widths matter for the memory maps only.
        dim: Width of the vectors.
        sizes: Numbers of images and captions.
        seed: Of the vectors and lengths.
    """
    name = type(network).__name__ + f" {network.extra_repr().split(', norm')[0].split(', lambda')[0]}"
    costs = []
    for images, texts in sizes:
        encoded = _random(images, texts, dim, seed)
        score_matrix(network, _part(encoded, 64, 64), progress=False)  # warm-up
        loop, loop64 = (_loop_seconds(network, encoded, dtype) for dtype in (torch.float32, torch.float64))
        _, tiled = once(partial(score_matrix, network, encoded, progress=False))
        _, plain = once(partial(torch.mm, encoded.images[:, 0].contiguous(), encoded.texts[:, 0].T.contiguous()))
        costs.append(Cost(name, dim, images, texts, tiled.seconds, tiled.cpu_seconds, loop, loop64, plain.seconds))
    return costs


def _random(images: int, texts: int, dim: int, seed: int) -> EncodedBatch:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(FEWEST_WORDS, MOST_WORDS + 1, (texts,), generator=generator)
    regions = torch.randn(images, REGIONS, dim, generator=generator)
    words = torch.randn(texts, MOST_WORDS, dim, generator=generator)
    return EncodedBatch(
        images=regions / regions.norm(dim=2, keepdim=True),
        image_ids=torch.arange(images),
        texts=words / words.norm(dim=2, keepdim=True),
        text_ids=torch.arange(texts),
        text_lengths=lengths,
    )


def _part(encoded: EncodedBatch, images: int, texts: int) -> EncodedBatch:
    lengths = None if encoded.text_lengths is None else encoded.text_lengths[:texts]
    sides = encoded.images[:images], encoded.image_ids[:images], encoded.texts[:texts], encoded.text_ids[:texts]
    return EncodedBatch(*sides, lengths)


@torch.inference_mode()
def _loop_seconds(network: SCAN | IMRAM, encoded: EncodedBatch, dtype: torch.dtype) -> float:
    """Processor time over all pairs. Every tile costs the same, so a part of one is timed and scaled."""
    loop: Callable[..., Tensor] = scan_by_captions if isinstance(network, SCAN) else imram_by_captions
    part = _part(encoded, LOOP_TILE, PAIRS_OF_A_SAMPLE // LOOP_TILE)
    images, texts, lengths = part.images.to(dtype), part.texts.to(dtype), part.text_lengths
    assert lengths is not None  # `_random` gives them
    network.to(dtype)
    loop(network, images, texts[:2], lengths[:2])  # warm-up
    _, timing = once(lambda: loop(network, images, texts, lengths))
    network.float()
    pairs = len(encoded.images) * len(encoded.texts)
    return timing.cpu_seconds * pairs / (len(images) * len(texts))


def cost_table(costs: Sequence[Cost]) -> Table:
    """One row for each size of the matrix; the title has the exponent of the cost."""
    exponent = fitted_exponent([cost.images for cost in costs], [cost.cpu_seconds for cost in costs])
    names = ("images", "captions", "seconds", "CPU µs\nper pair", "loop\ntimes", "loop float64\ntimes", "embedding\ns")
    title = f"{costs[0].model}, width {costs[0].dim}: exponent {exponent:.2f}"
    return Table("attention", title, tuple(map(Column, names)), tuple(map(_row, costs)))


def _row(cost: Cost) -> Row:
    per_pair = 1e6 * cost.cpu_seconds / cost.images / cost.texts
    loops = (f"{seconds / cost.cpu_seconds:.1f}" for seconds in (cost.loop_cpu_seconds, cost.loop64_cpu_seconds))
    measured = str(cost.images), str(cost.texts), f"{cost.seconds:.2f}", f"{per_pair:.2f}"
    return Row(text_cells(*measured, *loops, f"{cost.embedding_seconds:.4f}"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints tables."""
    parser = argparse.ArgumentParser(prog="python -m fico.bench.attention", description=__doc__)
    parser.add_argument("--dims", type=int, nargs="+", default=[64], help="widths; tiny models 64, the paper's 1024")
    parser.add_argument("--models", nargs="+", choices=("scan", "imram"), default=["scan"])
    parser.add_argument("--direction", choices=("t2i", "i2t"), default="t2i", help="of SCAN")
    parser.add_argument("--mode", choices=("full", "text", "image"), default="full", help="of IMRAM")
    parser.add_argument("--largest", type=int, default=1000, help="leave out sizes of more images")
    options = parser.parse_args(arguments)
    sizes = [size for size in SIZES if size[0] <= options.largest]
    sys.stdout.write(f"{torch.get_num_threads()} threads of {cores()} cores, torch {torch.__version__}\n")
    for dim in options.dims:
        for model in options.models:
            network = (
                SCAN(8, 8, dim, 8, direction=options.direction)
                if model == "scan"
                else IMRAM(8, 8, dim, 8, mode=options.mode)
            )
            print_table(cost_table(measure(network.eval(), dim, sizes)))
