"""CCA on principal components, with weighted directions, and chosen on the validation split."""

import pytest
import pytorch_lightning as L
import torch
from test_cca import pairs
from torch.utils.data import DataLoader

from fico.errors import UsageError
from fico.networks.cca import CCA, Regularisation
from fico.types import PairBatch
from models.cca import CCAModule
