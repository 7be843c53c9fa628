"""How upstreams are reached: one path for every kind of call."""
