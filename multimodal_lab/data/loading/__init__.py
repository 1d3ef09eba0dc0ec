"""Loading: collate, loader, worker processes, unreadable samples."""
