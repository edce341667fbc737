"""A local page on which trained runs are searched side by side."""
