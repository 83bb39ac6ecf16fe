"""The supervisor: one per host, it forks workers per queue as the configuration says and keeps them alive."""
