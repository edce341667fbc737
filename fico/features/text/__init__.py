"""Text features: tokens, words, document vectors."""
