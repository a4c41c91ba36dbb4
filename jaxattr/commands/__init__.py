"""One file a command: its arguments, and the call of the job behind it."""
