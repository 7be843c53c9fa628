"""The canonical request and the canonical answer events, where all APIs meet. Pure.

Every client API reads its requests into the canonical request and writes its answers from the
canonical events; every upstream API does the reverse. So no pair of client API and upstream API
needs code of its own.
"""
