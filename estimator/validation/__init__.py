"""Published runs against their predictions: errors, scores and peers.

May import answer and what lies below it.
"""
