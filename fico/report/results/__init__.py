"""``results.json`` and the files beside it, and finished runs read from them."""
