"""``fico prepare``: downloads a well-known data set, unpacks and checks it; may be interrupted and repeated."""

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from fico.cli.data.download_progress import DownloadBar, download_bars, gigabytes
from fico.datasets.download.archives import SUFFIXES, DamagedArchive, unpack
from fico.datasets.download.resume import ResumingDownload, fetch, remote_size
from fico.datasets.recipes import all_recipes
from fico.datasets.recipes.recipe import Licensed, Recipe, Source, count_images
from fico.errors import DataError, UsageError
from fico.util.atomic import atomic_write

DOWNLOADS = "downloads"  # below the data set's folder; removed once everything is unpacked
SPARE_BYTES = 2**28  # of disk that stay free
AT_ONCE = 4  # archives downloaded at the same time

Echo = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One archive that is still to be downloaded or unpacked."""

    source: Source
    archive: Path
    download_bytes: int
    is_there: bool


def prepare(
    name: str,
    root: Path,
    *,
    annotations_only: bool = False,
    keep_archives: bool = False,
    mirror: str | None = None,
    echo: Echo,
    recipes: Mapping[str, Recipe] | None = None,
) -> None:
    """Download what is missing of a data set, unpack it and check that it is complete.

    Args:
        name: One of the recipes.
        root: The data set's folder; created if missing.
        annotations_only: Leave the images out.
        keep_archives: Do not delete an archive once it is unpacked.
        mirror: URL of a folder with the same archives, instead of the official servers.
        echo: Prints a line for the user.
        recipes: Sources and expected counts of each data set; default: all of `fico.datasets.recipes`.

    Raises:
        UsageError: There is no such recipe.
        DataError: The disk is too small, an archive cannot be downloaded or is damaged, images need a licence and
            are missing, or the data set is incomplete at the end.
    """
    recipes = all_recipes() if recipes is None else recipes
    if name not in recipes:
        raise UsageError(f"{name!r} cannot be prepared, only {', '.join(recipes)}; other folders are used as they are")
    recipe, root = recipes[name], root.expanduser()
    try:
        (root / DOWNLOADS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{root} cannot be written ({error.strerror}); give another folder as --root") from error
    steps = list(_steps(root, recipe, annotations_only=annotations_only, mirror=mirror))
    for line in _forecast(root, steps):
        echo(line)
    _check_disk(root, steps, keep_archives=keep_archives)
    _run(root, steps, keep_archives=keep_archives)
    if recipe.licensed and not annotations_only:
        list(_check(name, root, recipe, annotations_only=True))  # before the message says that captions are there
        _unpack_licensed(name, root, recipe.licensed, echo)
    if not keep_archives:
        shutil.rmtree(root / DOWNLOADS, ignore_errors=True)
    for line in _check(name, root, recipe, annotations_only=annotations_only):
        echo(line)
    echo(f"licence: {recipe.licence}")


def _steps(root: Path, recipe: Recipe, *, annotations_only: bool, mirror: str | None) -> Iterator[Step]:
    same = recipe.same_images
    has_same = bool(same) and all(count_images(root / folder) == count for folder, count in same.items())
    for source in recipe.sources:
        is_image = bool(source.images)
        if (is_image and (annotations_only or has_same)) or source.is_unpacked(root, (f"images/{source.folder}",)):
            continue
        placed = [root / source.name, root / DOWNLOADS / source.name]
        archive = next((path for path in placed if path.is_file()), placed[1])
        is_there = archive.is_file()
        url = source.url if mirror is None else f"{mirror.rstrip('/')}/{source.name}"
        size = 0 if is_there else remote_size(url) or source.download_bytes
        part = archive.with_name(f"{archive.name}.part")
        got = part.stat().st_size if part.is_file() else 0
        yield Step(replace(source, url=url), archive, max(0, size - got), is_there)


def _forecast(root: Path, steps: Sequence[Step]) -> Iterator[str]:
    if not steps:
        yield f"{root}: nothing is left to download"
    for step in steps:
        what = "is there" if step.is_there else f"{gigabytes(step.download_bytes)} to download from {step.source.url}"
        yield f"{step.source.name}: {what}, {gigabytes(step.source.unpacked_bytes)} unpacked"


def _check_disk(root: Path, steps: Sequence[Step], *, keep_archives: bool) -> None:
    """Refuse before the download; archives are deleted once unpacked, so the peak is before the last deletion."""
    needed = peak = sum(step.download_bytes for step in steps)
    for step in steps:
        needed += step.source.unpacked_bytes
        peak = max(peak, needed)
        needed -= 0 if keep_archives or step.is_there else step.source.download_bytes
    free = shutil.disk_usage(root).free
    if steps and peak + SPARE_BYTES > free:
        raise DataError(
            f"{root} needs up to {gigabytes(peak + SPARE_BYTES)} and its disk has {gigabytes(free)} free; free some, "
            "or give a folder on a larger disk as --root, or --annotations-only"
        )


def _run(root: Path, steps: Sequence[Step], *, keep_archives: bool) -> None:
    """Download the archives in parallel; each is unpacked as soon as it is complete."""
    stop = threading.Event()
    with download_bars() as bars, ThreadPoolExecutor(AT_ONCE) as pool:
        tasks = [bars.add_task(f"download {step.source.name}", total=None, unit="") for step in steps]
        futures: list[Future[None]] = [
            pool.submit(_download_and_unpack, root, step, DownloadBar(bars, task), stop, keep_archives)
            for step, task in zip(steps, tasks, strict=True)
        ]
        try:
            for future in futures:
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _download_and_unpack(root: Path, step: Step, bar: DownloadBar, stop: threading.Event, keep_archives: bool) -> None:
    if not step.is_there:
        download = ResumingDownload(step.archive, on_progress=bar.bytes, stop=stop)
        fetch(step.source.url, step.archive, step.source.known_hash, download)
    bar.rename(f"unpack {step.source.name}")
    is_ours = step.archive.parent.name == DOWNLOADS  # archives that the user put there stay
    try:
        unpack(step.archive, root, wanted=step.source.wanted, on_progress=bar.files, stop=stop)
    except DamagedArchive as error:
        if not is_ours:
            raise
        step.archive.unlink()
        raise DamagedArchive(f"{error}: it was deleted, so run this command once more") from error
    if is_ours and not keep_archives:
        step.archive.unlink()


def _unpack_licensed(name: str, root: Path, licensed: Licensed, echo: Echo) -> None:
    """Unpack the archive of a licensed data set; the error says how to get it."""
    if any(count_images(root / folder) for folder in licensed.folders) and not _missing_images(name, root):
        return
    found = sorted(
        path
        for folder in (root, root / DOWNLOADS)
        for path in folder.glob(licensed.pattern)
        if path.name.endswith(SUFFIXES)
    )
    if not found:
        there = max(count_images(root / folder) for folder in licensed.folders)
        raise DataError(
            f"captions and split of {name} are in {root}, of its {licensed.images:,} images {there:,}: they come "
            f"on request only; request them at {licensed.page}, put {licensed.archive} "
            f"({gigabytes(licensed.download_bytes)}) into {root} or the images into {root / licensed.folders[0]}, and "
            "run this command again"
        )
    echo(f"unpacking {found[0]}")
    with download_bars() as bars:
        bar = DownloadBar(bars, bars.add_task(f"unpack {found[0].name}", total=licensed.images, unit=""))
        unpack(found[0], root, on_progress=lambda done, count: bar.files(done, max(count, licensed.images)))


def _missing_images(name: str, root: Path) -> dict[str, list[str]]:
    """Images of each split without a file."""
    from fico.datasets import load_dataset

    dataset = load_dataset(name, root=root)
    splits = {split: dataset.split(split) for split in ("train", "val", "test")}
    return {
        split: missing
        for split, found in splits.items()
        if (missing := [path.name for path in found.image_paths if not path.is_file()])
    }


def _check(name: str, root: Path, recipe: Recipe, *, annotations_only: bool) -> Iterator[str]:
    """Read the data set as a run does, and count."""
    from fico.datasets import load_dataset
    from fico.datasets.karpathy.coco_instances import find_instances, write_labels

    instances = find_instances(root)
    if instances and not (root / "labels.npz").exists():
        with atomic_write(root / "labels.npz") as part, part.open("wb") as file:
            write_labels(file, instances)
    dataset = load_dataset(name, root=root, expected=recipe.images, expected_captions=recipe.captions)
    for split in ("train", "val", "test"):
        found = dataset.split(split)
        labels = "no labels" if found.labels is None else f"{found.labels.sum(axis=1).mean():.3f} labels an image"
        yield f"{split}: {len(found.image_ids):,} images, {len(found.captions):,} captions, {labels}"
    missing = {} if annotations_only else _missing_images(name, root)
    if missing:
        split, names = next(iter(missing.items()))
        raise DataError(
            f"{root} lacks {sum(map(len, missing.values())):,} images, among them {names[0]} of split {split}; run "
            "this command again, or put them there by hand"
        )
    yield (f"{root} is complete" if not annotations_only else f"{root} holds captions, splits and any labels")
