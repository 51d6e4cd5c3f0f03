"""How large and how fast the generated machines are: synthesis, place and route, and their page."""
