"""LightningModules: built parts come in, encodings go out."""
