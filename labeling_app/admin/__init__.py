"""Labels in the console of the admin."""
