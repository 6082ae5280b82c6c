"""Programs with one planted bug each; a module's docstring says what is wrong and what it takes."""
