"""Before an experiment: what it can see, with how many users, in how much time."""
