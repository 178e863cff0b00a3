"""One model of what is shown, findings and tables, and what draws it.

May import explore and what lies below it.
"""
