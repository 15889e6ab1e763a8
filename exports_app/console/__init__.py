"""Views of the console that belong to no model."""
