"""Linear CCA: its definition, its invariances, and the published level on real pairs."""

import numpy as np
import pytest
import torch
from scipy.linalg import eigh

import fico
from fico.datasets.feature_sets.wikipedia import Wikipedia
from fico.errors import DataError
from fico.networks.cca import CCA


def pairs(count=400, seed=0):
    """Three shared factors of falling strength, mixed into 8 and 6 values with noise."""
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(count, 3, generator=generator) * torch.tensor([3.0, 1.5, 0.7])
    mixed = [shared @ torch.randn(3, width, generator=generator) for width in (8, 6)]
    return tuple(side + torch.randn(side.shape, generator=generator) + 5 for side in mixed)


def fitted(images, texts, dims=3, ridge=0.0):
    network = CCA(images.shape[1], texts.shape[1], dims, ridge)
    network.update(images, texts)
    network.solve()
    return network


def projected(network, images, texts):
    return (
        (images - network.image_mean) @ network.image_directions,
        (texts - network.text_mean) @ network.text_directions,
    )


def test_directions_are_uncorrelated_but_for_their_partner():
    images, texts = pairs()
    network = fitted(images, texts)
    left, right = projected(network, images, texts)
    correlations = torch.diag(network.correlations)
    for first, second, wanted in (
        (left, left, torch.eye(3)),
        (right, right, torch.eye(3)),
        (left, right, correlations),
    ):
        torch.testing.assert_close(first.T @ second / len(images), wanted, atol=1e-4, rtol=0)
    assert (network.correlations.diff() < 0).all()


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 0.5])
def test_correlations_are_those_of_the_eigenproblem(ridge):
    """A second way: C_xy C_yy^-1 C_yx a = rho^2 C_xx a."""
    images, texts = pairs()
    covariance = np.cov(np.hstack([images, texts]).astype(np.float64).T, bias=True)
    own = [covariance[:8, :8], covariance[8:, 8:]]
    own = [part + ridge * np.trace(part) / len(part) * np.eye(len(part)) for part in own]
    cross = covariance[:8, 8:]
    squares = eigh(cross @ np.linalg.solve(own[1], cross.T), own[0], eigvals_only=True)[::-1][:3]
    found = fitted(images, texts, ridge=ridge).correlations.numpy()
    assert np.allclose(found, np.sqrt(squares), atol=1e-5)


def test_no_unknown_pair_of_directions_correlates_more():
    images, texts = pairs()
    best = float(fitted(images, texts).correlations[0])
    generator = torch.Generator().manual_seed(1)
    for _ in range(50):
        left, right = (side @ torch.randn(side.shape[1], generator=generator) for side in (images, texts))
        assert abs(float(torch.corrcoef(torch.stack([left, right]))[0, 1])) <= best


def test_any_invertible_map_of_the_features_changes_no_similarity_without_a_ridge():
    images, texts = pairs()
    mixing = torch.randn(8, 8, generator=torch.Generator().manual_seed(2))
    plain, mixed = fitted(images, texts), fitted(images @ mixing + 7, texts)
    scores = plain.encode_images(images) @ plain.encode_texts(texts).T
    other = mixed.encode_images(images @ mixing + 7) @ mixed.encode_texts(texts).T
    torch.testing.assert_close(scores, other, atol=1e-3, rtol=0)


def test_pairs_in_any_batches_give_the_same_directions_and_forgetting_starts_anew():
    images, texts = pairs()
    whole, parts = fitted(images, texts), CCA(8, 6, 3, 0.0)
    parts.update(images + 50, texts.flip(0))
    parts.reset()
    for chosen in (slice(300, 400), slice(0, 7), slice(7, 300)):
        parts.update(images[chosen], texts[chosen])
    parts.solve()
    assert torch.allclose(whole.correlations, parts.correlations, atol=1e-6)
    assert torch.allclose(
        whole.encode_images(images) @ whole.encode_texts(texts).T,
        parts.encode_images(images) @ parts.encode_texts(texts).T,
        atol=1e-4,
    )


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
def test_values_that_depend_on_each_other_or_never_change_do_no_harm(ridge):
    images, texts = pairs()
    texts = torch.cat([texts, texts.sum(dim=1, keepdim=True), torch.ones(len(texts), 1)], dim=1)
    network = fitted(images, texts, dims=8, ridge=ridge)
    assert network.encode_texts(texts).isfinite().all()
    assert network.text_directions.abs().max() < 100, "rounding errors are not blown up"
    assert network.correlations.max() <= 1 + 1e-6
    assert torch.allclose(network.correlations[:3], fitted(images, texts[:, :6], ridge=ridge).correlations, atol=2e-3)


def test_partners_are_found_on_pairs_not_seen():
    images, texts = pairs(800)
    network = fitted(images[:400], texts[:400])
    scores = network.encode_images(images[400:]) @ network.encode_texts(texts[400:]).T
    ranks = (scores > scores.diagonal()[:, None]).sum(dim=1)
    assert ranks.median() < 30, "by chance it is 200"


@pytest.mark.parametrize("dims", [0, 7])
def test_more_directions_than_the_smaller_width_are_refused(dims):
    with pytest.raises(ValueError, match=r"dims must be in 1\.\.6"):
        CCA(8, 6, dims)


def test_a_fit_without_pairs_is_refused():
    with pytest.raises(ValueError, match="no pair was added"):
        CCA(8, 6).solve()


def test_weights_of_other_sizes_are_refused(tmp_path):
    from safetensors.torch import save_file

    trained = fitted(*pairs())
    save_file(trained.state_dict(), tmp_path / "cca.safetensors")
    loaded = CCA(8, 6, 3).load_released(tmp_path / "cca.safetensors")
    assert torch.equal(loaded.image_directions, trained.image_directions)
    with pytest.raises(DataError, match="instead of"):
        CCA(8, 6, 2).load_released(tmp_path / "cca.safetensors")


@pytest.mark.data
def test_wikipedia_reaches_the_level_of_its_readme(data_dir):
    """Cosine, 5 directions, ridge 1e-3, the whole training part: mAP@N 0.245 and 0.193."""
    dataset = Wikipedia(data_dir / "wikipedia_crossmodal", validation=0)
    images, texts = ([torch.from_numpy(dataset.features(name, kind)) for name in ("train", "test")]
                     for kind in ("global", "doc2vec"))  # fmt: skip
    network, test = fitted(images[0], texts[0], dims=5, ridge=1e-3), dataset.split("test")
    with torch.no_grad():
        metrics = fico.evaluate(
            network.encode_images(images[1]),
            network.encode_texts(texts[1]),
            test.correspondence,
            labels=test.labels,
            tasks=("category",),
            bootstrap=1,
        ).metrics
    assert metrics["category/i2t/mAP@N"] == pytest.approx(0.245, abs=0.003)
    assert metrics["category/t2i/mAP@N"] == pytest.approx(0.193, abs=0.003)
    assert metrics["category/i2t/chance/mAP@N"] == pytest.approx(0.118, abs=0.001)
