"""Broker clients: one module a broker, one contract (`base`) for all."""
