"""Making the load: when, who, and how rows are gathered."""
