"""The text of PDFs, for models that take none."""
