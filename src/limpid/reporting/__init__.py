"""What people read: figures, the report of a run, the page and the terminal tables of an inspection."""
