"""The server for clients: everything that receives requests and sends responses."""
