"""The doctor: checks a set-up, from the settings to a client's first answer, and gives advice."""
