"""What is known before the first label: whole networks as numbers, and models of many tables."""
