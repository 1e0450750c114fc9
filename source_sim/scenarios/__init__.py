"""How is a story about the exchange told as data, and played? Scenarios: a YAML form, a reader, a player, a library.

Nothing here knows the gateway's inside: a scenario is played through `source_sim.testbed` alone, so that it runs the
same in process and against a running exchange.
"""
