"""How dates and times are shown, by language."""
