"""What every room stands on: errors, units, lanes, registries, documents, files, words.

Imports nothing of estimator but itself.
"""
