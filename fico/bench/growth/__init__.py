"""Quality and cost while distractors join the gallery."""
