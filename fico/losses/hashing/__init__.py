"""Losses of the hash heads and of MITH: proxies, contrast, screening, several granularities."""
