"""Tools for the suites of applications: queueing without a server."""
