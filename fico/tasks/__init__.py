"""Who is right for whom, and what an evaluation gives back."""
