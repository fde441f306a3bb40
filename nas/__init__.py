"""The engine: from a configuration to a search, its report and an exported network."""
