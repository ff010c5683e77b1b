"""What whole files hold: which kind they are, pictures and recordings read from bytes that may be hostile."""
