"""The splits of the cross-modal hashing literature, of any labelled data set."""
