"""What the pools do to a database: one module per workload."""
