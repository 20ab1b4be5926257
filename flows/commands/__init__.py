"""One module for each command of `verdict`: its arguments, its call, what it prints."""
