"""Mesh events: what clusters publish, as one stream of typed changes, for any program.

`heliograph.subscribe` is the way in; `heliograph events` is made of nothing else. What is public
here follows the contract: new fields have defaults, nothing is retyped or removed.
"""
