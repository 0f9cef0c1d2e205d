"""The workload `ledger`: wallets, requests with idempotency keys, an event store, an outbox, projections."""
