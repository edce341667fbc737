"""Readers of folders with a split file in Karpathy's form: MS-COCO, Flickr30K, Flickr8k and any other."""
