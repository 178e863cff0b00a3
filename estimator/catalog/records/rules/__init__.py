"""What records leave open, by groups of sources: tables, no code."""
