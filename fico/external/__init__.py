"""Evaluation of embeddings and scores that no run of ours made, the published outputs of the paper among them."""
