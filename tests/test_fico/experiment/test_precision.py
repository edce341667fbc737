"""Half precision holds while items are encoded and pairs are scored, and not around them."""

import pytest
import torch

from fico.experiment.runner import _in_half_precision
from fico.protocols import Matcher, PairScorer


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.map = torch.nn.Linear(2, 2)

    def test_step(self, values, number):
        return self.map(values)

    def match(self, image_states, text_states, lengths=None):
        return self.map(image_states + text_states)


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), (None, torch.float32)])
def test_only_the_modules_own_products_are_halved(precision, dtype):
    module, values = Module(), torch.ones(1, 2)
    _in_half_precision(module, precision, "cpu")
    assert module.test_step(values, 0).dtype == module.match(values, values).dtype == dtype
    assert module.map(values).dtype == torch.float32
    assert isinstance(module, Matcher)
    assert not isinstance(module, PairScorer)
