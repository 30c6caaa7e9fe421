"""A bundled MCP server behind /mcp/demo, so that a fresh checkout has something to call."""
