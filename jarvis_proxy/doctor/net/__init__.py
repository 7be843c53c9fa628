"""What the doctor asks the network: names, connections, TLS, HTTP."""
