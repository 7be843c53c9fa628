"""How each client is set up for the proxy: one Markdown template a client, in English and Chinese.

To add a client, write ``en/ID.md`` and ``zh/ID.md``, name the id in ``registry.py``, and run
``python -m tools.docs``, which writes docs/clients/.
"""
