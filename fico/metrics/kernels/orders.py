"""The orders of tied items in which the kernels evaluate every ranking: rows of what they return."""

OPTIMISTIC, EXPECTED, PESSIMISTIC = 0, 1, 2
ORDERS = {"optimistic": OPTIMISTIC, "expected": EXPECTED, "pessimistic": PESSIMISTIC}
