"""The jobs of labeling. Every process loads this module at its start."""
