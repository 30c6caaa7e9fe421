"""How dates and numbers are written, by language; Django reads these in place of its own."""
