"""The workload `marketplace`: tokens (mints), offers to sell and to buy them, invoices, balances."""
