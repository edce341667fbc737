"""LightningModules: one file per model. Parts come in built, encodings go out."""
