"""The doctor: checks a set-up from the settings to a client's first word, and says what to do."""
