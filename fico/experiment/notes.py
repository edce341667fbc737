"""What a reader of a run's results must know about how it was trained and tested."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as L
from pytorch_lightning.callbacks import EarlyStopping, StochasticWeightAveraging, Timer


class _Notes(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self.texts:
            self.texts.append(text)


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collect what the library warns of, once each: a warning that scrolled by stands in the results too.

    Yields:
        The list, which grows while the context is open.
    """
    logger, handler = logging.getLogger("fico"), _Notes()
    logger.addHandler(handler)
    try:
        yield handler.texts
    finally:
        logger.removeHandler(handler)


def training_notes(trainer: L.Trainer) -> list[str]:
    """Why a training ended before its last epoch, and averages that are not tested; empty for a plain one.

    Args:
        trainer: After ``fit``.
    """
    notes = [
        "the weights are not averaged: StochasticWeightAveraging averages after the last epoch, when the best one is "
        "chosen already; WeightAveraging averages before each validation"
        for callback in trainer.callbacks  # type: ignore[attr-defined]
        if isinstance(callback, StochasticWeightAveraging)
    ]
    is_whole = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
    if trainer.current_epoch < (trainer.max_epochs or 0) or not is_whole:
        epoch = f"epoch {trainer.current_epoch} of {trainer.max_epochs}{'' if is_whole else ', within it'}"
        notes.append(f"the training was stopped after {epoch}, by {_reason(trainer)}")
    return notes


def _reason(trainer: L.Trainer) -> str:
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EarlyStopping) and callback.stopping_reason_message:
            return f"EarlyStopping: {' '.join(callback.stopping_reason_message.split())}"
        if isinstance(callback, Timer) and (callback.time_remaining() or 1.0) <= 0:
            return "trainer.max_time"
    if 0 <= trainer.max_steps <= trainer.global_step:
        return f"trainer.max_steps={trainer.max_steps}"
    return "a callback"
