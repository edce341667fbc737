"""Trains a tiny dual encoder on the embedded scenes without Hydra or Lightning, and evaluates it.

``python examples/train_from_python.py``: bags of words against a coarse grid of colours, in seconds.
"""

import sys

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import normalize

import fico
from fico.losses.triplet import TripletHinge


def features(paths: tuple) -> torch.Tensor:
    """Images as a coarse grid of colours."""
    pixels = [np.asarray(Image.open(path).convert("RGB").resize((12, 12))) for path in paths]
    return torch.from_numpy(np.stack(pixels)).float().flatten(1) / 255 - 0.5


def bags(captions: tuple, words: dict[str, int]) -> torch.Tensor:
    """Captions as sets of words."""
    rows = torch.zeros(len(captions), len(words))
    for row, caption in zip(rows, captions, strict=True):
        for word in words.keys() & set(caption):
            row[words[word]] = 1
    return rows


def main() -> None:
    """Train for some epochs and print R@10."""
    torch.manual_seed(0)
    data = fico.load_dataset("shapes", images=300)
    train, test = data.split("train"), data.split("test")
    words = {word: n for n, word in enumerate(sorted({word for caption in train.tokens for word in caption}))}
    images, texts = features(train.image_paths), bags(train.tokens, words)
    rows = torch.from_numpy(train.correspondence.caption_to_image)
    image_encoder, text_encoder = nn.Linear(images.shape[1], 64), nn.Linear(len(words), 64)
    optimizer = torch.optim.Adam([*image_encoder.parameters(), *text_encoder.parameters()], lr=2e-3)
    loss = TripletHinge(margin=0.2, hardest=False)
    for _ in range(8):
        for batch in torch.randperm(len(texts)).split(64):
            left, right = image_encoder(images[rows[batch]]), text_encoder(texts[batch])
            optimizer.zero_grad()
            loss(normalize(left, dim=1) @ normalize(right, dim=1).T).backward()
            optimizer.step()
    left, right = image_encoder(features(test.image_paths)), text_encoder(bags(test.tokens, words))
    result = fico.evaluate(left.detach(), right.detach(), test.correspondence, labels=test.labels)
    for key in ("instance/i2t/R@10", "instance/t2i/R@10", "category/t2i/mAP@N"):
        chance = result.metrics["/chance/".join(key.rsplit("/", 1))]
        sys.stdout.write(f"{key}: {result.metrics[key]:.3f}, chance {chance:.3f}\n")


if __name__ == "__main__":
    main()
