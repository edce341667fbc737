"""Files of arrays and of TREC, whoever made them."""
