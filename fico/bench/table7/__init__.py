"""Table 7 and Figure 4 of the paper: indexes on synthetic vectors."""
