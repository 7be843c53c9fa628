"""Where all APIs meet: the canonical request and the canonical answer events. Pure.

Every client API reads its requests into the one and writes its answers from the other; every
upstream API does the reverse. So no pair of client API and upstream API has code of its own.
"""
