"""Who lives in a whole simulated region, what ails them, and what did they say? A country of thousands from one seed.

`region.py` puts it together from households, ailments and choices; `holding.py` tells a source whose records it has.
Nothing here knows the gateway, a socket or a clock.
"""
