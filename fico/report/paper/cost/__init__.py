"""The cost tables and figures of the paper: encoding, storage, attention."""
