"""The clients' APIs, one folder each: requests, answers, errors. Pure."""
