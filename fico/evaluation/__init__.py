"""Evaluation of embeddings, codes or scores: relevance, engines, summaries and results."""
