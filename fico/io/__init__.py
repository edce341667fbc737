"""Somebody's own files: arrays, layouts of other libraries, TREC runs, the published outputs of the paper."""
