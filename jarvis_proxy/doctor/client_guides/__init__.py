"""How each client is set up for the proxy: one Markdown template a client, in English and Chinese.

To add a client, write ``en/ID.md`` and ``zh/ID.md``, name the id in ``registry.py``, and run
``python -m tests.doctor.client_guide``, which writes docs/clients.md.
"""
