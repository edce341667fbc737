"""The one corner that knows Lightning, Hydra, OmegaConf and W&B: from a config to a finished run."""
