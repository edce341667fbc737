"""X-VLM: what depends on the image alone is computed once, padding never matters, wrong weights are refused."""

import pytest
import torch
from torch import nn

from fico.errors import DataError
from fico.networks.blocks.fusion import FusionLayer, unexpanded
from fico.networks.checkpoint_io.resize import resize_bias_table
from fico.networks.xvlm import XVLM

WORDS, LENGTHS = 7, torch.tensor([7, 3, 1])


def _network():
    torch.manual_seed(0)
    return XVLM(
        vocab_size=30, image_size=32, window=4, vision_dim=8, vision_depths=(2, 2), vision_heads=(2, 2), dim=16,
        heads=4, layers=1, fusion_layers=2, inner_dim=24, positions=12, embed_dim=8,
    ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def network():
    return _network()


def test_padding_changes_nothing(network):
    texts = torch.randint(1, 30, (3, WORDS), generator=torch.Generator().manual_seed(0))
    other = texts.clone()
    other[1, 3:], other[2, 1:] = 0, 29
    images = network.image_states(torch.rand(3, 3, 32, 32))
    with torch.no_grad():
        for ids in (texts, other):
            states = network.text_states(ids, LENGTHS)
            short = network.text_states(ids[1:2, :3])
            torch.testing.assert_close(states[1:2, :3], short)
            torch.testing.assert_close(network.encode_texts(ids, LENGTHS)[1:2], network.encode_texts(ids[1:2, :3]))
            alone = network.match(images[1:2], short)
            torch.testing.assert_close(network.match(images, states, LENGTHS)[1:2], alone)


def test_the_first_token_is_the_mean_of_the_others(network):
    states = network.image_states(torch.rand(2, 3, 32, 32))
    assert states.shape == (2, 1 + 16, 16)
    torch.testing.assert_close(states[:, 0], states[:, 1:].mean(dim=1))


def test_keys_and_values_of_a_shared_image_are_computed_once():
    layer, seen = FusionLayer(8, 2, 16, 6).eval(), []
    layer.crossattention.self["key"].register_forward_hook(lambda module, given, out: seen.append(len(given[0])))
    states, source = torch.rand(5, 3, 8), torch.rand(1, 4, 6)
    once, each = (
        layer(states, layer.image_keys(unexpanded(tokens)))
        for tokens in (source.expand(5, -1, -1), source.repeat(5, 1, 1))
    )
    assert seen == [1, 5]
    torch.testing.assert_close(once, each)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="8 does not divide among 3 heads"):
        FusionLayer(8, 3, 16, 6)


def test_a_bias_table_keeps_its_values_at_the_old_places_of_a_linear_surface():
    """A plane is a plane on any grid; between the outermost offsets the spline follows it."""
    side = torch.arange(-3.0, 4.0)
    table = (side[:, None] + 2 * side[None]).reshape(49, 1)
    same = resize_bias_table(table, 49)
    assert torch.equal(same, table)
    larger = resize_bias_table(table, 121).reshape(11, 11)
    assert larger[5, 5] == pytest.approx(0, abs=1e-5)
    assert (larger.diff(dim=0) > 0).all()
    assert (larger.diff(dim=1) > 0).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": ["no", "dict"]}, "not a dict of weights"),
        ({"model": {}}, "is missing"),
        ({"img_enc.fc.weight": torch.zeros(2)}, "and .* more"),
        (None, "there is no weights file"),
    ],
)
def test_wrong_weights_are_refused_by_the_first_names_that_differ(network, tmp_path, content, message):
    path = tmp_path / "weights.pth"
    if content is not None:
        torch.save(content, path)
    with pytest.raises(DataError, match=message):
        network.load_released(path)


def test_weights_of_another_size_are_refused_by_name_and_shapes(network, tmp_path):
    state = network.state_dict()
    state["text_proj.weight"] = torch.zeros(8, 15)
    torch.save({"model": state}, tmp_path / "weights.pth")
    with pytest.raises(DataError, match=r"text_proj\.weight has shape \(8, 15\) instead of \(8, 16\)"):
        _network().load_released(tmp_path / "weights.pth")


def test_paper_size_has_the_papers_number_of_parameters():
    with torch.device("meta"):
        network = XVLM(vocab_size=30522)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == 213_959_547
    assert sum(p.numel() for p in network.vision.parameters()) == 86_878_584
    assert isinstance(network.itm_head, nn.Sequential)
