"""The dashboard in a real browser: Debian's chromium, driven by playwright-core under Node.js."""
