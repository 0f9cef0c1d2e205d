"""Grafana dashboards as code: `python -m dashboards` writes them to deploy/grafana/dashboards."""
