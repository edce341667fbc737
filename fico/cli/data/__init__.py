"""Commands about data sets: what they need, what they hold, what two of them share."""
