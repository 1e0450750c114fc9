"""An open national switchpoint: decides, routes, carries and remembers; holds no medical data."""
