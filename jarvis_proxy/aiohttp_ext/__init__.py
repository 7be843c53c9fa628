"""The only place that may use private names of aiohttp.

tests/aiohttp_ext/test_contract.py names each of them.
"""
