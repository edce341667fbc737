"""Further positives of a data set, by the name of their task: from a file, or from the package ``eccv-caption``."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from fico.correspondence import Correspondence
from fico.external.eccv_caption import PositiveSet, eccv_caption_positives
from fico.metrics.specification import positives_name_problem

PACKAGE = "eccv_caption/"  # before the name of a set: eccv_caption/eccv


def source_problems(sources: Any, prefix: str = "positives.") -> Iterator[str]:
    """One sentence for each source that cannot be read or has no usable name, found without reading it.

    Args:
        sources: By the name of a task ``eccv_caption/SET``, or the path of a file.
        prefix: What the user types before a name.
    """
    if not isinstance(sources, Mapping):
        yield f"{prefix.removesuffix('.')} is {sources!r}, but must name a file for each task, such as {{mine: FILE}}"
        return
    for name, source in sources.items():
        if problem := positives_name_problem(str(name)):
            yield f"{prefix}{name}: {problem}"
        kind, is_set = str(source).removeprefix(PACKAGE), str(source).startswith(PACKAGE)
        if is_set and kind not in get_args(PositiveSet):
            yield f"{prefix}{name}={source} is no set of eccv_caption; it has {', '.join(get_args(PositiveSet))}"
        elif not is_set and not Path(str(source)).is_file():
            yield f"{prefix}{name}={source} is no file; give qrels, .csv, .json or .npz, or eccv_caption/SET"


def further_positives(
    sources: Mapping[str, str], image_ids: Sequence[str], caption_ids: Sequence[str], correspondence: Correspondence
) -> dict[str, Correspondence]:
    """Positives of every source, for the images and captions of a split.

    Args:
        sources: By the name of a task ``eccv_caption/SET``, or the path of a file that `load_positives` reads, which
            holds the ids of the data set.
        image_ids: Id of each image.
        caption_ids: Id of each caption.
        correspondence: The image row of each caption.

    Raises:
        FicoError: A source is missing or broken, or names images or captions that are not in the split.
    """
    found = {}
    for name, source in sources.items():
        if source.startswith(PACKAGE):
            kind: Any = source.removeprefix(PACKAGE)
            found[name] = eccv_caption_positives(kind, image_ids, caption_ids, correspondence)
        else:
            from fico.formats.positives import load_positives

            found[name] = load_positives(Path(source), image_ids, caption_ids, correspondence.caption_to_image)
    return found
