"""What happens around the test loop: evaluation, storing, measuring. No callback looks another up."""
