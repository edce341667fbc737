"""Lightning's logger of TensorBoard; importing it without TensorBoard names the extra."""

from pytorch_lightning.loggers import TensorBoardLogger as TensorBoardLogger

from fico.util.optional import requires_extra

with requires_extra("tensorboard"):
    import tensorboard  # noqa: F401
