"""One type of table and its formats: terminal, Markdown, LaTeX, CSV; HTML is a macro of ``fico.report.html``."""
