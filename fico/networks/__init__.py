"""Architectures as plain ``nn.Module``, one file each; what several share lies in ``blocks``."""
