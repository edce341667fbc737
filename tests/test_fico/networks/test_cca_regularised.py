"""CCA on principal components, with weighted directions, and with settings chosen on the validation split."""

import pytest
import pytorch_lightning as L
import torch
from torch.utils.data import DataLoader

from fico.errors import UsageError
from fico.networks.cca import CCA, Regularisation, capped_cca
from fico.types import PairBatch
from models.cca import CCAModule


def pairs(count=400):
    """Three shared factors in 8 and 6 values, in directions of falling variance."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(count, 3, generator=generator) * torch.tensor([3.0, 1.5, 0.7])
    mixed = [shared @ torch.randn(3, width, generator=generator) for width in (8, 6)]
    return tuple(side + torch.randn(side.shape, generator=generator) for side in mixed)


def fitted(images, texts, regularisation=None, **how):
    network = CCA(images.shape[1], texts.shape[1], **({"dims": 3, "ridge": 0.1} | how))
    network.regularisation = regularisation or network.regularisation
    network.update(images, texts)
    network.solve()
    return network


def scores(network, images, texts):
    return network.encode_images(images) @ network.encode_texts(texts).T


def test_components_are_those_of_an_explicit_pca():
    images, texts = pairs()
    reduced = []
    for side in (images, texts):
        centred = (side - side.mean(0)).double()
        reduced.append((centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:4].T).float())
    wanted = scores(fitted(*reduced), *reduced)
    torch.testing.assert_close(scores(fitted(images, texts, components=4), images, texts), wanted, atol=1e-4, rtol=0)


def test_as_many_components_as_features_change_nothing():
    images, texts = (side[:, :6] for side in pairs())
    whole, components = fitted(images, texts), fitted(images, texts, components=6)
    torch.testing.assert_close(scores(whole, images, texts), scores(components, images, texts), atol=1e-4, rtol=0)


def test_fewer_dims_are_those_of_a_smaller_network():
    images, texts = pairs()
    fewer = fitted(images, texts, Regularisation(2, 0.1, 0.1))
    assert not fewer.image_directions[:, 2].any()
    torch.testing.assert_close(scores(fewer, images, texts), scores(fitted(images, texts, dims=2), images, texts))


def test_a_power_weights_each_pair_of_directions_by_its_correlation():
    images, texts = pairs()
    plain, weighted = fitted(images, texts), fitted(images, texts, Regularisation(3, 0.1, 0.1, power=2.0))
    torch.testing.assert_close(weighted.image_directions, plain.image_directions * plain.correlations**2)
    torch.testing.assert_close(weighted.text_directions, plain.text_directions * plain.correlations**2)


def test_each_side_has_its_own_ridge():
    images, texts = pairs()
    shrunk = fitted(images, texts, Regularisation(3, 0.1, 10.0)).correlations
    assert (shrunk < fitted(images, texts).correlations).all()


def test_more_pairs_after_a_solution_count():
    images, texts = pairs()
    network = fitted(images[:200], texts[:200])
    network.update(images[200:], texts[200:])
    network.solve()
    torch.testing.assert_close(scores(network, images, texts), scores(fitted(images, texts), images, texts))


def test_more_dims_than_components_are_refused():
    with pytest.raises(ValueError, match=r"dims must be in 1\.\.2"):
        CCA(8, 6, dims=3, components=2)


def batch():
    images, texts = pairs()
    rows = torch.arange(len(images))
    return PairBatch(images=images, image_ids=rows, texts=texts, text_ids=rows, lengths=None, labels=None)


def trained(module, epochs):
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, max_epochs=epochs, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(module, DataLoader([batch()], batch_size=None))
    return trainer


def test_each_epoch_solves_with_the_next_combination_from_the_same_sums(tmp_path):
    grid = {"image_ridge": [0.1, 1.0], "dims": [2, 3]}
    module = CCAModule(CCA(8, 6, dims=3, ridge=0.1), grid)
    trainer = trained(module, 3)
    wanted = Regularisation(dims=2, image_ridge=1.0, text_ridge=0.1)
    assert module.network.regularisation == wanted
    images, texts = pairs()
    torch.testing.assert_close(
        scores(module.network, images, texts), scores(fitted(images, texts, wanted), images, texts)
    )
    trainer.save_checkpoint(tmp_path / "best.ckpt")
    stored = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert stored["regularisation"] == {"dims": 2, "image_ridge": 1.0, "text_ridge": 0.1, "power": 0.0}


def test_more_epochs_than_combinations_are_refused():
    with pytest.raises(UsageError, match=r"has 2 combinations, one an epoch; set model\.epochs=2"):
        trained(CCAModule(CCA(8, 6, dims=3), {"power": [0, 1]}), 3)


@pytest.mark.parametrize(("grid", "message"), [({"rigde": [1]}, "names rigde"), ({"dims": [4]}, r"dims in 1\.\.3")])
def test_a_grid_that_does_not_fit_is_refused(grid, message):
    with pytest.raises(UsageError, match=message):
        CCAModule(CCA(8, 6, dims=3), grid)


def test_directions_that_the_features_do_not_have_are_left_out_with_a_warning(caplog):
    network = capped_cca(8, 6, dims=192, components=400)
    assert network.dims == 6
    warning = "linear CCA has 6 directions, not 192: the features of this training split are 8 and 6 wide"
    assert caplog.messages == [warning]
    module = CCAModule(network, {"dims": [4, 64, 192]})
    trained(module, 3)
    assert module.network.regularisation.dims == 6
    plain = CCA(8, 6, dims=6, components=400)
    assert {name: value.shape for name, value in network.state_dict().items()} == {
        name: value.shape for name, value in plain.state_dict().items()
    }
    with pytest.raises(UsageError, match=r"dims in 1\.\.192"):
        CCAModule(network, {"dims": [193]})


def test_as_many_directions_as_the_features_have_warn_of_nothing(caplog):
    assert capped_cca(8, 6, dims=6).dims == 6
    assert not caplog.messages
    with pytest.raises(ValueError, match=r"dims must be in 1\.\.6"):
        capped_cca(8, 6, dims=0)
