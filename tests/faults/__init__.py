"""The fault matrix: what can go wrong, as data, and what each kind of client must then see."""
