"""Region features of published files, joined to the images of a data set."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from fico.datasets.base import RetrievalDataset, RetrievalSplit
from fico.errors import DataError, UsageError
from fico.features.image.region_files import Region, read_h5, read_npy, read_npz_folder, read_tsv
from fico.features.writer import RowFile, Step
from fico.formats.text import read_json, read_lines

Stream = Callable[[], Iterator[Region]]


def region_streams(sources: Sequence[Path], ids_file: Path | None = None) -> list[Stream]:
    """Open each source by its form.

    Args:
        sources: ``.tsv`` of bottom-up attention, ``.npy`` of SCAN and its followers, ``.h5``, or a folder with one
            ``.npz`` for each image.
        ids_file: Ids for the rows of a ``.npy``, one a line; default: ``dev_ids.txt`` next to ``dev_ims.npy``.

    Raises:
        UsageError: There is no source, or one is of none of these forms.
        DataError: There are no ids for a ``.npy``.
    """
    if not sources:
        raise UsageError("there is no source; give --from with .tsv, .npy or .h5 files or a folder of .npz")
    return [_stream(source, ids_file) for source in sources]


def _stream(source: Path, ids_file: Path | None) -> Stream:
    if source.is_dir():
        return lambda: read_npz_folder(source)
    if source.suffix == ".tsv":
        return lambda: read_tsv(source)
    if source.suffix in (".h5", ".hdf5"):
        return lambda: read_h5(source)
    if source.suffix == ".npy":
        ids = _lines(ids_file or source.with_name(f"{source.stem.rpartition('_')[0]}_ids.txt"))
        return lambda: read_npy(source, ids)
    raise UsageError(f"{source} is not a region file that can be read; give .tsv, .npy, .h5 or a folder of .npz")


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in read_lines(path) if line]
    except DataError as error:
        raise DataError(f"the ids of the rows: {error}, or give another file with --ids") from error


def imgid_names(dataset: RetrievalDataset) -> dict[str, str]:
    """The data set's own id of each ``imgid`` of its JSON, by which the files of SCAN name the images of Flickr30K.

    Raises:
        DataError: The data set has no JSON, or its images have no such field.
    """
    path = getattr(dataset, "json_path", None)
    try:
        images = read_json(Path(str(path)))["images"]
        return {str(image["imgid"]): str(image.get("cocoid") or Path(image["filename"]).stem) for image in images}
    except (DataError, KeyError, TypeError) as error:
        raise DataError(f"{path} gives no imgid of its images ({error}); take --ids-are image") from error


def region_file(
    root: Path,
    splits: Mapping[str, RetrievalSplit],
    streams: Sequence[Stream],
    sources: Sequence[Path],
) -> RowFile:
    """The file ``features/regions.npy`` with one row for each image of the splits; sizes as of the first image.

    Raises:
        DataError: The first source is empty.
    """
    first = next(streams[0](), None)
    if first is None:
        raise DataError(f"there are no region features in {sources[0]}; give a source with at least one image")
    ids = [item for split in splits.values() for item in split.image_ids]
    files = [[str(source.resolve()), source.stat().st_size, source.stat().st_mtime_ns] for source in sources]
    names = ", ".join(source.name for source in sources)
    return RowFile(root, "regions", ids, first[1].shape, f"regions of {names}", {"sources": files})


def region_steps(
    file: RowFile, streams: Sequence[Stream], names: Mapping[str, str] | None = None
) -> tuple[Callable[[int], Iterator[Step]], int]:
    """Each image of the data set as it comes in the sources, as `RowFile.write` takes them.

    Args:
        file: Of `region_file`.
        streams: Of `region_streams`. Images that the data set does not have are passed over.
        names: The data set's id for the ids of the sources, where those are others.

    Raises:
        DataError: While it is written: an image is in the sources twice, or has another number of regions.
    """
    rows = {name: row for row, name in enumerate(file.ids)}

    def wanted() -> Iterator[tuple[int, Region]]:
        seen: set[int] = set()
        for stream in streams:
            for source_id, features in stream():
                name = source_id if names is None else names.get(source_id, "")
                row = rows.get(name)
                if row is None:
                    continue
                if row in seen:
                    raise DataError(f"image {name} is in the sources twice; give each image once")
                seen.add(row)
                yield row, (name, features)
                if len(seen) == len(rows):
                    return

    def steps(done: int) -> Iterator[Step]:
        for number, (row, (name, features)) in enumerate(wanted()):
            if features.shape != file.shape:
                raise DataError(
                    f"image {name} has regions of shape {features.shape}, but the first has {file.shape}; give "
                    "features with a fixed number of regions"
                )
            if number >= done:
                yield row, features

    return steps, len(file.ids)
