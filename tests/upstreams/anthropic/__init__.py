"""Tests of Anthropic's Messages API as an upstream."""
