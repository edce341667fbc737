"""What one run prints and shows: its metrics, its indexes, its times and sizes."""
