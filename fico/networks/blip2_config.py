"""Sizes of BLIP-2, given one by one or read from beside released weights."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fico.errors import DataError
from fico.util.optional import requires_extra

if TYPE_CHECKING:
    from transformers import Blip2Config

FINAL_EPS = 1e-5  # of the norm behind the image encoder; transformers gives it the 1e-6 of the blocks


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
    """Config of transformers for these sizes; see `BLIP2` for their meaning."""
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
        "initializer_range": dim**-0.5,  # 0.02 is made for wide layers; narrow ones learn several times slower from it
        "use_qformer_text_input": True,
    }
    sizes: dict[str, Any] = {"num_query_tokens": queries, "image_text_hidden_size": embed_dim}
    return _plain(Blip2Config(vision_config=vision, qformer_config=text, initializer_range=dim**-0.5, **sizes))


def released_config(folder: Path) -> "Blip2Config":
    """Config of the weights in a folder.

    Raises:
        DataError: It is the config of another model, or of a BLIP-2 that reads no texts, made for captioning.
    """
    with requires_extra("models"):
        from transformers import Blip2Config

    file = folder / "config.json"
    raw = read_json(file)
    if raw.get("model_type") != "blip-2":
        raise DataError(f"{file} is the config of {raw.get('model_type')!r}, not of blip-2; give weights of BLIP-2")
    if not raw.get("qformer_config", {}).get("use_qformer_text_input"):
        raise DataError(
            f"{file} is a BLIP-2 without text input, made for captioning; give one for image-text matching, such as "
            "Salesforce/blip2-itm-vit-g-coco"
        )
    return _plain(Blip2Config.from_pretrained(folder))


def read_json(file: Path) -> dict[str, Any]:
    """Read a config file.

    Raises:
        DataError: It is missing or not a JSON object.
    """
    try:
        raw = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as a config ({error}); fetch it again") from error
    if not isinstance(raw, dict):
        raise DataError(f"{file} holds a {type(raw).__name__}, not a config; fetch it again")
    return raw


def _plain(config: "Blip2Config") -> "Blip2Config":
    config.image_token_index = None  # else the first ids of each text would be dropped as places of the image
    return config
