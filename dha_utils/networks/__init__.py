"""The network contract, the networks that fulfil it, and their weights."""
