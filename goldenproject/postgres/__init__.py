"""Django's PostgreSQL backend, which starts the embedded server just before it is needed."""
