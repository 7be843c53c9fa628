"""Google's generateContent as clients speak it. Pure."""
