"""``python -m fico.bench.throughput``: how fast the models with attention between image and text score and encode.

Random weights at the paper's sizes on a GPU, tiny ones on a CPU: pairs or images a second in float32, TF32 (on a GPU)
and bfloat16, how far their scores lie from those in float32, and the time of COCO 5K with 256 candidates both ways. The
work of a GPU's tile at the paper's sizes is counted on any machine, without computing it: floating-point operations,
launched operations and bytes of their inputs and outputs, each for a pair or an image.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from fico.bench.timing import timed
from fico.networks.blip2 import BLIP2
from fico.networks.imram import IMRAM
from fico.networks.scan import SCAN
from fico.report.table.markdown import as_markdown
from fico.report.table.table import Column, Row, Table, text_cells
from fico.scoring.matrix import score_matrix
from fico.scoring.pair_tiles import pair_tiles
from fico.scoring.rerank import Rerank
from fico.types import EncodedBatch
from fico.util.compute.torch_settings import set_float32_precision, torch_settings_kept

COCO_PAIRS = 5_000 * 256 + 25_000 * 256  # 5K images with 25K captions, 256 candidates both ways
PRECISIONS = ("float32", "TF32", "bfloat16")
_WORDS = (5, 21)  # of a caption
_TINY_BLIP2: dict[str, Any] = {
    "vocab_size": 200, "image_size": 28, "vision_dim": 32, "vision_layers": 2, "vision_heads": 2,
    "vision_inner_dim": 64, "dim": 32, "layers": 2, "heads": 2, "inner_dim": 64, "queries": 4, "embed_dim": 16,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Work:
    """One thing that is timed.

    Args:
        name: Of the model, and what it does.
        target: Items a second that one H200 should reach at the paper's sizes.
        paper: Builds the network at the paper's sizes.
        tiny: Builds a small one.
        images: Images of a measurement at the paper's sizes.
        captions: Their captions; 0: images are encoded.
        candidates: Captions that each image is matched with; 0: all are scored.
    """

    name: str
    target: float
    paper: Callable[[], Any]
    tiny: Callable[[], Any]
    images: int
    captions: int = 0
    candidates: int = 0


def _blip2(name: str, target: float, *sizes: int) -> Work:
    return Work(name, target, lambda: BLIP2(vocab_size=30523), lambda: BLIP2(**_TINY_BLIP2), *sizes)


WORKS = (
    _blip2("BLIP-2 matching, pairs", 30_000, 64, 2048, 512),
    _blip2("BLIP-2 encoding, images", 300, 64),
    Work("IMRAM, pairs", 5e5, lambda: IMRAM(2048, 10_000), lambda: IMRAM(16, 50, 32, 16), 512, 1024),
    Work("SCAN, pairs", 15e6, lambda: SCAN(2048, 10_000), lambda: SCAN(16, 50, 32, 16), 2048, 4096),
)


def made_rows(work: Work, network: Any, images: int, captions: int, device: str) -> EncodedBatch:
    """Random images and captions of 5 to 21 words, encoded as far as scoring them needs."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(*_WORDS, (captions,), generator=generator)
    numbers, side = torch.arange(max(images, captions)), getattr(network, "image_size", 0)
    ids = torch.randint(5, 50, (captions, _WORDS[1]), generator=generator).to(device)
    shape = (images, 3, side, side) if side else (images, 36, network.img_enc.fc.weight.shape[1])
    pixels = torch.randn(shape, generator=generator).to(device)
    if side and not captions:
        return EncodedBatch(pixels, numbers, pixels[:0], numbers[:0])
    if side:
        states = torch.cat([network.image_states(part) for part in pixels.split(16)])
        return EncodedBatch(pixels[:, 0, 0], numbers, ids, numbers, lengths, states, ids)
    if device == "meta":  # a GRU takes no packed words there
        texts = torch.empty(*ids.shape, network.txt_enc.rnn.hidden_size, device=device)
    else:
        texts = network.encode_texts(ids, lengths)
    return EncodedBatch(network.encode_images(pixels), numbers, texts, numbers, lengths)


def _pairs(work: Work, images: int, captions: int) -> np.ndarray:
    """Candidates of each image: others for each, as ascending keys."""
    random, count = np.random.default_rng(0), min(work.candidates, captions)
    rows = [random.choice(captions, count, replace=False) + image * captions for image in range(images)]
    return np.sort(np.concatenate(rows))


def _call(work: Work, network: Any, rows: EncodedBatch) -> Callable[[], np.ndarray]:
    """What is timed; it ends with the scores or vectors in the computer's memory."""
    if not work.captions:
        return lambda: torch.cat([network.encode_images(part) for part in rows.images.split(32)]).float().cpu().numpy()
    if not work.candidates:
        return lambda: score_matrix(network, rows, progress=False)
    pairs = _pairs(work, len(rows.images), len(rows.texts))
    return lambda: Rerank(network, 1, progress=False).score_pairs(rows, pairs)


@torch.inference_mode()
def measured(work: Work, device: str, size: str, most: int, seconds: float) -> Iterator[tuple[str, ...]]:
    """Cells of a row for each precision: items a second, target, differences from float32, time of COCO 5K."""
    torch.manual_seed(0)
    network = (work.paper if size == "paper" else work.tiny)().eval().to(device)
    rows = made_rows(work, network, min(work.images, most), min(work.captions, most), device)
    single: np.ndarray | None = None
    for precision in PRECISIONS:
        if precision == "TF32" and device == "cpu":
            continue
        call = _call(work, network, rows)
        with torch_settings_kept(), _autocast(device, precision):
            set_float32_precision("high" if precision == "TF32" else "highest")
            found, timing = timed(call, budget_seconds=seconds)
        single = found if single is None else single
        errors = np.abs(found - single) / single.std()
        count = found.size if work.captions else len(found)
        coco = COCO_PAIRS / count * timing.seconds / 60 if work.candidates else None
        yield (
            work.name,
            precision,
            f"{count / timing.seconds:,.0f}",
            f"{work.target:,.0f}" if size == "paper" else "–",
            f"{errors.max():.1g} / {errors.mean():.1g}",
            f"{coco:.1f}" if coco is not None and size == "paper" else "–",
        )


def _autocast(device: str, precision: str) -> AbstractContextManager[Any]:
    return torch.autocast(device, torch.bfloat16) if precision == "bfloat16" else nullcontext()


class _Launches(TorchDispatchMode):
    """Counts operations that make values, and the bytes of their inputs and outputs."""

    operations = moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.operations += 1
            for tensor in tree_leaves((args, kwargs, result)):
                if isinstance(tensor, Tensor):
                    self.moved += min(tensor.nbytes, tensor.untyped_storage().nbytes())
        return result


@torch.inference_mode()
def counted(work: Work, size: str) -> tuple[float, float, float]:
    """FLOPs, operations and bytes in float32 of an item in a GPU's tile; nothing is computed."""
    with torch.device("meta"):
        network = (work.paper if size == "paper" else work.tiny)().eval()
    rows = made_rows(work, network, min(work.images, 128), min(work.captions, 2048), "meta")
    launches, meta = _Launches(), torch.device("meta")
    if work.candidates:
        pairs = _pairs(work, len(rows.images), len(rows.texts))
        tiles = pair_tiles(network, rows, pairs, None, meta)
        items = len(pairs)
        calls: Iterator[Any] = (tiles.score(*tiles.arguments(tile)) for tile in range(len(tiles)))
    elif work.captions:
        texts, lengths = rows.texts[:128], rows.text_lengths
        assert lengths is not None
        items = len(rows.images) * len(texts)
        calls = (network.score(rows.images, texts[:, : _WORDS[1] - 8], lengths[:128].to(meta)) for _ in range(1))
    else:
        items, calls = len(rows.images), (network.encode_images(part) for part in rows.images.split(32))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as flops, launches:
        for _ in calls:
            pass
    return flops.get_total_flops() / items, launches.operations / items, launches.moved / items


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(prog="python -m fico.bench.throughput", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", default="cuda" if gpu else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--size", choices=("tiny", "paper"), help="of what is timed; tiny on a CPU, else paper")
    parser.add_argument("--counted", default="paper", choices=("tiny", "paper"), help="size of what is counted")
    parser.add_argument("--most", type=int, help="images and captions of a measurement; 32 where they are tiny")
    parser.add_argument("--seconds", type=float, default=5.0, help="of repeats of a measurement")
    options = parser.parse_args(arguments)
    size = options.size or ("tiny" if options.device == "cpu" else "paper")
    most = options.most or (32 if size == "tiny" else 2**20)
    name = torch.cuda.get_device_name() if options.device == "cuda" else f"{torch.get_num_threads()} CPU thread(s)"
    cells = [row for work in WORKS for row in measured(work, options.device, size, most, options.seconds)]
    columns = ("precision", "items/s", "target on one H200", "largest / mean difference", "COCO 5K, minutes")
    timed_table = _table("throughput", f"Measured, {size} sizes on {name}", columns, cells)
    numbers = []
    for work in WORKS:
        flops, operations, moved = counted(work, options.counted)
        numbers.append((work.name, f"{flops / 1e9:.3g}", f"{operations:.2g}", f"{moved / 1e6:.3g}"))
    title = f"Counted for one item of a GPU's tile, {options.counted} sizes"
    counted_table = _table("counted", title, ("GFLOP", "operations", "MB in float32"), numbers)
    sys.stdout.write("\n".join(as_markdown(table) for table in (timed_table, counted_table)))


def _table(name: str, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    heads = (Column("work", is_text=True), *map(Column, columns))
    return Table(name, title, heads, tuple(Row(text_cells(*cells)) for cells in rows))


if __name__ == "__main__":
    main()
