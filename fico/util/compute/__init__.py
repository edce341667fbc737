"""What a computation takes and how it rounds: energy, precision, settings of torch."""
