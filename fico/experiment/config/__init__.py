"""Checks of a composed config, the resolvers that its YAML uses, and Hydra's errors as sentences."""
