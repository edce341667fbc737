"""The options of ``fico evaluate`` that give queries a database of their own."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fico.errors import UsageError
from fico.evaluation.database.database import Database
from fico.external.model_outputs import ModelOutputs

if TYPE_CHECKING:
    from fico.cli.evaluate import Sources

OPTIONS = ("database_images", "database_texts", "database_pairs", "database_labels")


def check_options(sources: "Sources") -> None:
    """Refuse options of a database that do not go together, before a file is read.

    Raises:
        UsageError: One is missing, or another does not go with a database.
    """
    if not sources.named(*OPTIONS):
        return
    if extra := sources.named("i2t", "t2i", "run_i2t", "run_t2i"):
        raise UsageError(f"a database needs --images and --texts, whose rows search it; leave out {', '.join(extra)}")
    if extra := sources.named("positives"):
        raise UsageError(f"a database has the category task alone; leave out {', '.join(extra)}")
    if sources.layout == "square":
        raise UsageError("a database counts every image once; give it with --layout rectangular")
    if sources.database_images is None or sources.database_texts is None:
        raise UsageError(
            f"got {', '.join(sources.named(*OPTIONS))}; a database needs both --database-images and --database-texts"
        )
    if sources.database_pairs is None and sources.captions_per_image is None:
        raise UsageError(
            "say which image of the database each of its captions belongs to: give --database-pairs, or "
            "--captions-per-image for both parts"
        )


def with_database(queries: ModelOutputs, sources: "Sources", read: Callable[["Sources"], ModelOutputs]) -> ModelOutputs:
    """Outputs of the queries, then of the database, with a correspondence that says which is which.

    Args:
        queries: Embeddings of the queries.
        sources: All options.
        read: Reads embeddings by the options of the queries.

    Raises:
        UsageError: One part alone has labels.
        DataError: A file is broken, or the two parts do not fit each other.
    """
    is_grouped = sources.database_pairs is None
    found = read(
        replace(
            sources,
            images=sources.database_images,
            texts=sources.database_texts,
            labels=sources.database_labels,
            pairs=sources.database_pairs,
            captions_per_image=sources.captions_per_image if is_grouped else None,
        )
    )
    database = Database.of(found.images, found.texts, found.correspondence, found.labels, None)
    assert database is not None
    assert queries.images is not None
    assert queries.texts is not None
    queries.correspondence.check(len(queries.images), len(queries.texts))
    database.searched(queries.images, queries.texts)
    correspondence, labels = database.join(queries.correspondence, queries.labels, len(queries.images))
    return replace(
        queries,
        correspondence=correspondence,
        labels=labels,
        images=np.concatenate([queries.images, database.images]),
        texts=np.concatenate([queries.texts, database.texts]),
    )
