"""Real clients against a real upstream through the gateway; with MCP_CLIENTS_DIRECT=1 without it."""
