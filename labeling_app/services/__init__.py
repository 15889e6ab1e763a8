"""What the admin, the API and the jobs call."""
