"""Architectures as plain ``nn.Module``, one file each; layers of several lie in ``blocks``."""
