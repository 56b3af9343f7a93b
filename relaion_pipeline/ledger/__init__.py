"""What is removed for good: the ledger of all releases, what it adds to findings, and the cover of listed rows."""
