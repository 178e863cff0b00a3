"""Files that hold a result, one module per ending."""
