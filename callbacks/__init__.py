"""What happens around the loops: evaluation, storing, measuring.

A callback takes the run's `fico.run_context.RunContext` and fills its ``outputs``; no callback looks another one up.
"""
