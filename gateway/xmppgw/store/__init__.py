"""What the front end must not forget: accepted messages, what was seen before, where each link stands."""
