"""What figures show: findings and their data, drawn by ``charts`` and ``figures``."""
