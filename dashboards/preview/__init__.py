"""Pictures of the dashboards for people without Grafana: their own JSON, drawn with figures of a real run."""
