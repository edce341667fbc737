"""Evaluates user-supplied embeddings at instance and category level: ``python examples/evaluate_embeddings.py``."""

import sys

import numpy as np

import fico


def made_up(images: int = 300, captions: int = 5, classes: int = 6, dim: int = 48) -> tuple[np.ndarray, ...]:
    """Embeddings that cluster by class; replace them with yours, ``numpy.load("images.npy")``."""
    rng = np.random.default_rng(0)
    classes_of_images = rng.integers(0, classes, images)
    centres = rng.normal(size=(classes, dim))
    image_rows = centres[classes_of_images] + rng.normal(size=(images, dim))
    caption_to_image = np.arange(images).repeat(captions)
    text_rows = image_rows[caption_to_image] + 6.0 * rng.normal(size=(images * captions, dim))
    return image_rows, text_rows, caption_to_image, np.eye(classes, dtype=bool)[classes_of_images]


def main() -> None:
    """Print some metrics with their intervals, chance levels and definitions."""
    images, texts, caption_to_image, labels = made_up()
    result = fico.evaluate(images, texts, fico.Correspondence(caption_to_image), labels=labels, similarity="cosine")
    for direction in ("i2t", "t2i"):
        for task, metric in (("instance", "R@1"), ("instance", "R@10"), ("category", "mAP@N")):
            key = f"{task}/{direction}/{metric}"
            low, high = result.intervals[key]
            chance = result.metrics[f"{task}/{direction}/chance/{metric}"]
            line = f"{key:22} {result.metrics[key]:.3f} ({low:.3f} to {high:.3f}), chance {chance:.3f}"
            sys.stdout.write(f"{line}: {result.definitions[key]}\n")
    for note in result.notes:
        sys.stdout.write(f"note: {note}\n")


if __name__ == "__main__":
    main()
