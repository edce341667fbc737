"""Keeping the developer advice of libraries out of the user's log."""

import logging
import warnings

ADVICE = (
    ".*does not have many workers.*",  # features are read from memory; workers would only cost
    ".*suggested max number of worker.*",  # the data module counts the cores itself
    ".*Experiment logs directory .* exists.*",  # Hydra has created the folder
    ".*Checkpoint directory .* exists.*",
    ".*number of training batches .* is smaller than the logging interval.*",
    ".*The dirpath has changed from.*",  # a checkpoint of another run, as requested
    ".*could not find the monitored key.*",  # reported in the results, with the weights that are tested instead
    ".*LeafSpec.*",  # a deprecation inside Lightning
)


def quiet() -> None:
    """Silence the advice of Lightning and the chatter of other libraries.

    Call it again once a library is imported, which puts filters of its own before these.
    """
    for advice in ADVICE:
        warnings.filterwarnings("ignore", advice)
    for name in ("pytorch_lightning.utilities.rank_zero", "gensim", "faiss"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it numbers the processes
    logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # it logs the errors that it raises
