"""The dashboard's entry."""
