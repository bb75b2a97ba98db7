"""From a network and the maps to keep to a smaller network, what it costs, and how it is mended and exported."""
