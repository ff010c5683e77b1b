"""One file for each way of writing a table down."""
