"""Plain image-caption pairs: tables, folders and archives that people have at hand."""
