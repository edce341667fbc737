"""Configuration of BLIP-2: from explicit sizes, or from the config file of released weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fico.errors import DataError
from fico.formats.text import read_json
from fico.util.optional import requires_extra

if TYPE_CHECKING:
    from transformers import Blip2Config

FINAL_EPS = 1e-5  # of the final norm of the image encoder; transformers has the 1e-6 of the blocks


def explicit_config(
    *,
    image_size: int,
    patch_size: int,
    vision_dim: int,
    vision_layers: int,
    vision_heads: int,
    vision_inner_dim: int,
    vocab_size: int,
    dim: int,
    layers: int,
    heads: int,
    inner_dim: int,
    positions: int,
    queries: int,
    embed_dim: int,
    cross_every: int,
    dropout: float,
) -> "Blip2Config":
    """Transformers' config of a model from scratch; the arguments are those of `BLIP2`."""
    with requires_extra("models"):
        from transformers import Blip2Config

    vision = {
        "image_size": image_size,
        "patch_size": patch_size,
        "hidden_size": vision_dim,
        "num_hidden_layers": vision_layers,
        "num_attention_heads": vision_heads,
        "intermediate_size": vision_inner_dim,
        "initializer_range": vision_dim**-0.5,  # the library's 1e-10 cannot be trained from scratch
    }
    text = {
        "vocab_size": vocab_size,
        "hidden_size": dim,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner_dim,
        "max_position_embeddings": positions,
        "cross_attention_frequency": cross_every,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "initializer_range": dim**-0.5,  # 0.02 suits wide layers; narrow ones learn several times slower with it
        "use_qformer_text_input": True,
    }
    sizes: dict[str, Any] = {"num_query_tokens": queries, "image_text_hidden_size": embed_dim}
    return _plain(Blip2Config(vision_config=vision, qformer_config=text, initializer_range=dim**-0.5, **sizes))


def released_config(folder: Path) -> "Blip2Config":
    """Transformers' config of the weights in a folder.

    Raises:
        DataError: It is the config of another model, or of a BLIP-2 for captioning, without text input.
    """
    with requires_extra("models"):
        from transformers import Blip2Config

    file = folder / "config.json"
    raw = read_config_file(file)
    if raw.get("model_type") != "blip-2":
        raise DataError(f"{file} is the config of {raw.get('model_type')!r}, not of blip-2; give weights of BLIP-2")
    if not raw.get("qformer_config", {}).get("use_qformer_text_input"):
        raise DataError(
            f"{file} is a BLIP-2 without text input, made for captioning; give one for image-text matching, such as "
            "Salesforce/blip2-itm-vit-g-coco"
        )
    return _plain(Blip2Config.from_pretrained(folder))


def read_config_file(file: Path) -> dict[str, Any]:
    """The JSON object of a config or tokeniser file of transformers.

    Raises:
        DataError: It is missing or not a JSON object.
    """
    raw = read_json(file)
    if not isinstance(raw, dict):
        raise DataError(f"{file} holds a {type(raw).__name__}, not a config; fetch it again")
    return raw


def check_sizes(config: Any, vocab_size: int | None, image_size: int | None) -> None:
    """Compare the sizes of the inputs with those of the weights.

    Args:
        config: Of the weights.
        vocab_size: Word pieces of the tokeniser; None: not compared.
        image_size: Side of the images in pixels; None: not compared.

    Raises:
        DataError: A size differs; both values are named.
    """
    rows, side = config.qformer_config.vocab_size, config.vision_config.image_size
    if vocab_size is not None and not 0 <= rows - vocab_size <= 1:  # one more may stand for the image token
        raise DataError(
            f"the weights have {rows} word pieces, but the vocabulary has {vocab_size}; use the vocabulary that "
            "belongs to them"
        )
    if image_size is not None and image_size != side:
        raise DataError(f"the weights take images of {side} pixels, but model.inputs.image produces {image_size}")


def _plain(config: "Blip2Config") -> "Blip2Config":
    config.image_token_index = None  # else the first ids of each text would be replaced by image tokens
    return config
