"""The start from linear CCA: the first weights of each network are its directions, and words unknown to it stay."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from fico.datasets.shapes.shapes import Shapes
from fico.errors import UsageError
from fico.features.base import ModelInputs, SplitInputs
from fico.features.text.tfidf import TfIdfSpace
from fico.features.vocabulary import Vocabulary
from fico.features.warm_start import CCAStart
from fico.networks.cca import CCA, Regularisation
from fico.networks.imram import IMRAM
from fico.networks.scan import SCAN
from fico.networks.ucch import UCCH
from fico.networks.vsrn import VSRN

DIM, WIDTH, COMPONENTS = 12, 6, 8
NETWORKS = {"scan": SCAN, "imram": IMRAM, "vsrn": VSRN}


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    return Shapes(60, root=tmp_path_factory.mktemp("scenes"), progress=False).split("train")


@pytest.fixture(scope="module")
def inputs(train):
    """Regions of random features, far from standardised, that know a little of the first caption."""
    rng = np.random.default_rng(0)
    vocabulary = Vocabulary.build([*train.tokens, ["zebra"]])
    regions = rng.gamma(1.0, size=(len(train.image_ids), 5, DIM)) * rng.uniform(1, 9, DIM) + 3
    first = {image: row for row, image in reversed(list(enumerate(train.correspondence.caption_to_image)))}
    regions[..., 0] += np.array([[len(train.tokens[first[image]])] for image in range(len(regions))])
    side = SplitInputs(regions.astype(np.float32), tuple(map(vocabulary.encode, train.tokens)), None)
    return ModelInputs({"train": side}, {}, {}, 0, 0, vocabulary, {})


def started(name, train, inputs, *, start=None, **how):
    torch.manual_seed(0)
    network = NETWORKS[name](DIM, len(inputs.vocabulary), WIDTH, WIDTH, **how)
    before = network.txt_enc.embed.weight.clone()
    note = (start or CCAStart(components=COMPONENTS)).apply(network, train, inputs)
    return network, before, note


def fitted(train, regions):
    """CCA of mean regions and tf-idf, by its own object."""
    texts = torch.from_numpy(TfIdfSpace(train.tokens, COMPONENTS).vectors(train.tokens))
    cca = CCA(DIM, COMPONENTS, WIDTH, components=COMPONENTS)
    cca.regularisation = Regularisation(WIDTH, 3.0, 1.0, 1.0)
    cca.update(regions.mean(1)[torch.from_numpy(train.correspondence.caption_to_image)], texts)
    cca.solve()
    return cca, texts


@pytest.mark.parametrize("is_standardised", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_regions_and_words_lie_in_the_space_of_cca(train, inputs, name, is_standardised):
    network, _, note = started(name, train, inputs, standardise_images=is_standardised)
    regions = torch.from_numpy(inputs.splits["train"].images)
    scaled = (regions - regions.mean((0, 1))) / regions.std((0, 1), correction=0) if is_standardised else regions
    torch.testing.assert_close(network.img_enc.scale(regions), scaled, rtol=1e-4, atol=1e-4)
    cca, texts = fitted(train, scaled)
    images = network.img_enc.fc(scaled).mean(1)
    torch.testing.assert_close(normalize(images), cca.encode_images(scaled.mean(1)), rtol=1e-3, atol=1e-3)
    word = train.tokens[0][1]
    vector = network.txt_enc.embed.weight[inputs.vocabulary.encode([word])[1]]
    alone = torch.from_numpy(TfIdfSpace(train.tokens, COMPONENTS).vectors([[word]]))
    wanted = normalize(alone @ cca.text_directions)[0]
    torch.testing.assert_close(normalize(vector, dim=0), wanted, rtol=1e-3, atol=1e-3)
    assert "8 singular directions" in note


def test_words_that_no_training_caption_has_and_the_markers_keep_their_vectors(train, inputs):
    network, before, _ = started("scan", train, inputs)
    after = network.txt_enc.embed.weight
    zebra = inputs.vocabulary.encode(["zebra"])[1]
    kept = [0, 1, 2, 3, int(zebra)]
    assert torch.equal(after[kept], before[kept])
    others = [row for row in range(len(after)) if row not in kept]
    assert (after[others] != before[others]).any(dim=1).all()
    assert after[others].std().item() == pytest.approx(0.1, rel=1e-3)


def test_a_standardised_network_is_the_plain_one_until_it_is_started(inputs):
    regions = torch.from_numpy(inputs.splits["train"].images)
    for make in NETWORKS.values():
        encoded = []
        for is_standardised in (False, True):
            torch.manual_seed(0)
            network = make(DIM, 9, WIDTH, WIDTH, standardise_images=is_standardised).eval()
            encoded.append(network.encode_images(regions))
        torch.testing.assert_close(*encoded)


def test_a_value_that_never_varies_is_finite(train, inputs):
    regions = inputs.splits["train"].images.copy()
    regions[..., 3] = 6.0
    constant = replace(inputs, splits={"train": replace(inputs.splits["train"], images=regions)})
    network, _, _ = started("scan", train, constant, standardise_images=True)
    assert network.encode_images(torch.from_numpy(regions)).isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SCAN(DIM, 90, WIDTH, WIDTH, weight_norm=True), "SCAN has no such"),
        (lambda: UCCH(DIM, 9, 16), "UCCH has no such"),
        (lambda: SCAN(DIM, 90, 64, WIDTH), "8 directions for a width of 64"),
    ],
)
def test_a_network_that_it_cannot_start_is_refused(train, inputs, make, message):
    with pytest.raises(UsageError, match=message):
        CCAStart(components=COMPONENTS).apply(make(), train, inputs)


def test_token_ids_of_another_reader_are_refused(train, inputs):
    with pytest.raises(UsageError, match="warm_start=null"):
        CCAStart().apply(SCAN(DIM, 90, WIDTH, WIDTH), train, replace(inputs, vocabulary=None))
