"""Results of a run as files, terminal tables and pages; the one place with percents."""
