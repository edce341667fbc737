"""Numbers of the paper, in percent, as far as they are known here. What is not known is absent, never filled in.

Source:
    FiCo-ITR, arXiv 2407.20114: Table 2 (R@1, R@5, R@10), Table 3 (R@50, R@100, R@200 on Flickr30K) and Table 4
    (mAP@10, mAP@100, mAP@N), Table 1 and Table 5. Of BLIP-2, BEiT-3 and X-VLM only R@1 is known.
"""

from fico.report.results.schema import Results

R, DEEP, MAP = ("R@1", "R@5", "R@10"), ("R@50", "R@100", "R@200"), ("mAP@10", "mAP@100", "mAP@N")

Numbers = dict[tuple[str, str, str], tuple[float, ...]]  # by dataset, model and direction

INSTANCE: Numbers = {
    ("coco", "blip2", "i2t"): (85.4,),
    ("coco", "blip2", "t2i"): (68.2,),
    ("coco", "blip2(nf)", "i2t"): (74.3,),
    ("coco", "blip2(nf)", "t2i"): (63.5,),
    ("coco", "beit3", "i2t"): (79.0,),
    ("coco", "beit3", "t2i"): (61.3,),
    ("coco", "xvlm", "i2t"): (81.0,),
    ("coco", "xvlm", "t2i"): (63.0,),
    ("coco", "xvlm(nf)", "i2t"): (71.4,),
    ("coco", "xvlm(nf)", "t2i"): (54.4,),
    ("coco", "ucch", "i2t"): (6.2, 17.9, 26.5),
    ("coco", "ucch", "t2i"): (4.4, 14.9, 24.5),
    ("coco", "dadh", "i2t"): (0.4, 2.3, 4.7),
    ("coco", "dadh", "t2i"): (0.3, 1.5, 3.0),
    ("f30k", "blip2", "i2t"): (97.6,),
    ("f30k", "blip2", "t2i"): (89.7,),
    ("f30k", "blip2(nf)", "i2t"): (90.8,),
    ("f30k", "blip2(nf)", "t2i"): (85.7,),
    ("f30k", "beit3", "i2t"): (96.3,),
    ("f30k", "beit3", "t2i"): (86.1,),
    ("f30k", "xvlm", "i2t"): (96.8,),
    ("f30k", "xvlm", "t2i"): (86.1,),
    ("f30k", "xvlm(nf)", "i2t"): (90.2,),
    ("f30k", "xvlm(nf)", "t2i"): (78.4,),
    ("f30k", "adv(2048bit)", "i2t"): (63.7, 87.1, 92.8),
    ("f30k", "adv(2048bit)", "t2i"): (44.4, 75.4, 83.8),
    ("f30k", "adv(64bit)", "i2t"): (33.4, 63.6, 75.0),
    ("f30k", "adv(64bit)", "t2i"): (23.5, 49.0, 60.5),
    ("f30k", "ucch", "i2t"): (12.7, 30.7, 40.6),
    ("f30k", "ucch", "t2i"): (8.7, 25.8, 37.4),
    ("f30k", "dadh", "i2t"): (0.1, 0.7, 2.6),
    ("f30k", "dadh", "t2i"): (0.2, 0.8, 1.6),
}

DEEP_RECALL: Numbers = {
    ("f30k", "adv(64bit)", "i2t"): (93.0, 96.4, 98.2),
    ("f30k", "adv(64bit)", "t2i"): (82.9, 90.2, 95.7),
    ("f30k", "ucch", "i2t"): (68.4, 81.3, 88.5),
    ("f30k", "ucch", "t2i"): (68.7, 80.6, 89.5),
    ("f30k", "dadh", "i2t"): (8.6, 16.3, 28.0),
    ("f30k", "dadh", "t2i"): (8.3, 15.4, 26.3),
}

CATEGORY: Numbers = {
    ("coco", "ucch", "i2t"): (86.2, 81.5, 60.7),
    ("coco", "ucch", "t2i"): (86.6, 82.1, 60.2),
    ("coco", "dadh", "i2t"): (84.8, 78.4, 58.7),
    ("coco", "dadh", "t2i"): (75.6, 71.6, 60.5),
    ("f30k", "adv(2048bit)", "i2t"): (98.6, 96.3, 92.2),
    ("f30k", "adv(2048bit)", "t2i"): (98.4, 95.9, 92.1),
    ("f30k", "adv(64bit)", "i2t"): (98.4, 95.6, 91.7),
    ("f30k", "adv(64bit)", "t2i"): (98.7, 95.7, 91.8),
    ("f30k", "ucch", "i2t"): (95.1, 92.1, 89.3),
    ("f30k", "ucch", "t2i"): (90.7, 88.2, 88.8),
    ("f30k", "dadh", "i2t"): (98.6, 97.8, 96.3),
    ("f30k", "dadh", "t2i"): (96.7, 96.1, 95.7),
}

# Table 1: width of the embedding, then of image and text features for attention at query time
ARCHITECTURE: dict[str, tuple[str, str, str]] = {
    "blip2": ("256", "677 x 1408", "40 x 768"),
    "xvlm": ("256", "145 x 1024", "40 x 768"),
    "beit3": ("768", "none", "none"),
}

# Table 5: seconds to encode 1K/5K, 10K/50K, 100K/500K, 1M/5M images and captions
ENCODING: dict[str, tuple[float, ...]] = {
    "adv(2048bit)": (5.86, 37.19, 447.0, 9854.41),
    "adv(64bit)": (5.75, 35.29, 334.67, 3571.91),
    "ucch": (0.40, 4.12, 60.57, 488.28),
    "dadh": (0.53, 1.13, 6.46, 59.41),
}
# Table 5: GiB of the embeddings of 1M images and 5M captions, codes with a byte for each bit
STORAGE: dict[str, float] = {
    "beit3": 17.2,
    "xvlm": 5.72,
    "xvlm(nf)": 5.72,
    "adv(2048bit)": 11.71,
    "adv(64bit)": 0.36,
    "ucch": 0.36,
    "dadh": 0.36,
}
# Table 5: GiB of what attention at query time needs of 1M images and 5M captions
FEATURES: dict[str, float] = {"blip2": 4240.25, "xvlm": 1126.8}

_BITS = 64  # of every hashing model in the paper, save ADV's second row
_DATA = {"coco": ("coco", 5000), "flickr30k": ("f30k", 1000)}  # name of the data set -> that of the paper, test images


def paper_model(results: Results) -> str | None:
    """The paper's name of a run's model, or None where the run has another code length or size."""
    model = results.model
    if model.size == "tiny" or model.bits not in (None, _BITS, 2048):
        return None
    if model.name == "adv":
        return f"adv({model.bits}bit)"
    if model.bits == 2048 and not model.name.startswith("adv("):  # the authors' files carry the length in their name
        return None
    return model.name.replace("_nf", "(nf)")


def paper_data(results: Results) -> str | None:
    """The paper's name of a run's data, or None where the run was on another data set, split or subset."""
    name, images = _DATA.get(results.data.name, ("", 0))
    return name if results.data.split == "test" and results.data.images == images else None


def published(numbers: Numbers, dataset: str, model: str, direction: str, column: int) -> float | None:
    """One number of a table in percent, or None where it is not known."""
    row = numbers.get((dataset, model, direction), ())
    return row[column] if column < len(row) else None
