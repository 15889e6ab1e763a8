"""Settings from the environment: `dev` for one machine, `prod` for a server, `test` for pytest; all build on `base`."""
