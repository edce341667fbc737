"""Makes the pictures of the README and the docs: ``python docs/pictures.py RUN...``, from finished runs on ``shapes``.

The samples are those of the first run, which needs one vector an image. The diagram of the packages is drawn from the
import contract of ``pyproject.toml``, so that it cannot show a layer that is not held.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import fico

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
FOUND, MISSED = "#2a7f3f", "#b3452c"
STEPS = (
    ("data set", "splits, captions, Correspondence", "fico.datasets"),
    ("data module", "features or pixels, words", "fico.features, fico.loading"),
    ("module.encode", "EncodedBatch: embeddings with ids", "models, fico.networks"),
    ("scores", "similarity, pair scores or searcher, in blocks", "fico.scoring, fico.search"),
    ("metrics", "ties, chance, intervals", "fico.evaluation, fico.metrics"),
    ("result", "tables, figures, report.html, loggers", "fico.report"),
)


def draw_overview(runs: list[Path], target: Path) -> None:
    """Two captions with what the first run found, and quality against the bytes of an item over all runs."""
    figure = plt.figure(figsize=(12, 3.6), dpi=110, layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.25, 1))
    _draw_samples(left, runs[0])
    _draw_quality(right, [json.loads((run / "results.json").read_text()) for run in runs])
    figure.savefig(target)


def _draw_samples(figure: Any, run: Path, hits: int = 5) -> None:
    store = fico.EmbeddingStore.load(run / "embeddings")
    split = fico.load_dataset("shapes").split("test")
    index = fico.ExactSearch("cosine")
    index.add(store.images)
    found = index.search(store.texts, hits).indices
    matching = store.correspondence.caption_to_image
    first = found[:, 0] == matching
    missed = ~(found == matching[:, None]).any(axis=1)
    rows = [int(np.flatnonzero(kind)[5]) for kind in (first, missed)]
    axes = figure.subplots(2, hits + 1, width_ratios=(*[1] * hits, 1.0))
    for line, row in zip(axes, rows, strict=True):
        shown = [*found[row], matching[row]]
        for column, (cell, image) in enumerate(zip(line, shown, strict=True)):
            _show(cell, split.image_paths[image], image == matching[row], column == hits)
        caption = line[0].annotate(f"“{split.captions[row]}”", (0, 1.1), xycoords="axes fraction", fontsize=10)
        caption.set_in_layout(False)  # or it would widen the first column
    axes[1, hits].set_xlabel("matching image", fontsize=8)
    for column in range(hits):
        axes[1, column].set_xlabel(f"rank {column + 1}", fontsize=8)


def _show(cell: Any, path: Path, is_match: bool, is_truth: bool) -> None:
    cell.imshow(Image.open(path))
    cell.set(xticks=[], yticks=[])
    for spine in cell.spines.values():
        spine.set(color=FOUND if is_match else MISSED, linewidth=3, linestyle=":" if is_truth else "-")


def _draw_quality(figure: Any, results: list[dict[str, Any]]) -> None:
    keys = {"R@10, caption to image": "test/instance/t2i/R@10", "mAP@N, caption to image": "test/category/t2i/mAP@N"}
    for axes, (title, key) in zip(figure.subplots(1, 2), keys.items(), strict=True):
        for number, result in enumerate(results):
            metric, model = result["metrics"][key], result["model"]
            x = result["efficiency"]["embedding_bytes"] / (result["data"]["images"] + result["data"]["captions"])
            low, value, high = (100 * metric[name] for name in ("low", "value", "high"))
            colour = "#8a5a00" if model["bits"] else "#1f5fa8"
            marker = "s" if model["query_time_attention"] else "o"
            axes.errorbar(x, value, [[value - low], [high - value]], fmt=marker, color=colour, capsize=2, markersize=5)
            offset = (6, 2) if number % 2 else (6, -9)
            axes.annotate(model["name"].upper(), (x, value), offset, textcoords="offset points", fontsize=8)
        axes.set(xscale="log", xlim=(3, 60000), xlabel="bytes an item", title=title)
        axes.axhline(100 * results[0]["metrics"][_chance(key)]["value"], color="grey", linewidth=1, linestyle="--")
        axes.set_ylim(0, 65)
        axes.title.set_fontsize(10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    figure.supxlabel("brown: hash codes; squares: attention at query time; dashed: chance; bars: 95 %", fontsize=8)


def _chance(key: str) -> str:
    head, _, metric = key.rpartition("/")
    return f"{head}/chance/{metric}"


def draw_architecture(target: Path) -> None:
    """The layers of the package and the data flow, as SVG with text."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    inside = next(contract for contract in contracts if contract.get("containers") == ["fico"])
    layers = ["run.py", "models | callbacks", *(f"fico.{layer}" for layer in inside["layers"] if layer != "__main__")]
    step = max(95, 30 * len(layers) // len(STEPS))
    height = max(30 * len(layers), step * len(STEPS)) + 60
    parts = [_text(170, 28, "imports point downwards", "h"), _text(620, 28, "data flow", "h")]
    for row, layer in enumerate(layers):
        parts.append(
            _box(20, 45 + 30 * row, 300, 25, "app" if row < 2 else "lib") + _text(170, 62 + 30 * row, layer, "m")
        )
    for row, (name, carries, where) in enumerate(STEPS):
        top = 45 + step * row
        parts.append(_box(400, top, 440, 72, "step"))
        parts += [_text(620, top + 22, name, "b"), _text(620, top + 42, carries, "s"), _text(620, top + 61, where, "m")]
        if row + 1 < len(STEPS):
            parts.append(
                f'<path d="M620 {top + 73} v{step - 76} m-6 -8 l6 8 l6 -8" fill="none" stroke="#555" stroke-width="2"/>'
            )
    target.write_text(_SVG.format(height=height, parts="\n".join(parts)))


_SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 {height}"
 font-family="sans-serif" text-anchor="middle">
<style>.h{{font-size:16px;font-weight:bold}}.b{{font-size:15px;font-weight:bold}}.s{{font-size:13px}}
.m{{font-size:12px;font-family:monospace}}.app{{fill:#f3e7cf}}.lib{{fill:#e3ecf7}}.step{{fill:#e6f2e6}}</style>
<rect width="860" height="{height}" fill="white"/>
{parts}
</svg>
"""


def _box(x: int, y: int, width: int, height: int, kind: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" class="{kind}" stroke="#999"/>'


def _text(x: int, y: int, text: str, kind: str) -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(text)}</text>'


def main(folders: list[str]) -> int:
    """Draw all pictures, or without runs the diagram alone."""
    if folders in (["-h"], ["--help"]):
        sys.stdout.write(f"{__doc__}\n")
        return 0
    mpl.use("agg")
    PICTURES.mkdir(exist_ok=True)
    draw_architecture(PICTURES / "architecture.svg")
    if folders:
        draw_overview([Path(folder) for folder in folders], PICTURES / "overview.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
