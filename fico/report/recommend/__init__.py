"""Which measured model and index fit a memory and a latency limit."""
