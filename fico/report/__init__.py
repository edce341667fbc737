"""Results of a run as files, tables and pages; percents are made here alone."""
