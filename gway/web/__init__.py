"""The web part of GWAY: pages, routes, live updates and the server below them."""
