"""How commands are declared: options and flags, their help pages, modules imported only when called."""
