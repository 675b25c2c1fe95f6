"""What `edusec doctor` looks at, by subject."""
