"""Features: fixed image descriptors, Doc2Vec vectors and word ids, cached by content."""

from fico.features.base import ModelInputs, SplitInputs
from fico.features.inputs import model_inputs
from fico.features.vocabulary import Vocabulary

__all__ = ["ModelInputs", "SplitInputs", "Vocabulary", "model_inputs"]
