"""One type of table, and its forms: terminal, Markdown, LaTeX, CSV."""
