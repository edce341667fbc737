"""Training losses as plain ``nn.Module``, one file each."""
