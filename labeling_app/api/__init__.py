"""The API of labeling, under /api/v1/labeling/."""
